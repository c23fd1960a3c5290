/* SPDX-License-Identifier: Apache-2.0
 * The meter: what a technician who wiggles a cable would miss between two heartbeats. */
#ifndef METER_H
#define METER_H

#include <stdint.h>

#include "protocol.h"

/* Send Readings for so long; 0 ends them. A lease that begins knows nothing of what was before. */
void meter_lease(uint16_t lease_ms);

/* Every sample of both loops, in steps of the converter. */
void meter_take(const uint16_t steps[INPUT_COUNT]);

/* Once a millisecond, when all others have said what they had to say. */
void meter_tick(uint32_t now_ms);

#endif
