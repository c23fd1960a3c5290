/* SPDX-License-Identifier: Apache-2.0
 * Light, buzzer and relay: what the host leased, and what the unit does by itself when nobody answers. */
#ifndef OUTPUTS_H
#define OUTPUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

void outputs_start(void);

/* The beacon holds until the lease ends; the host renews it. Off needs no lease. */
void outputs_set_beacon(enum beacon beacon, uint32_t lease_ms, uint32_t now_ms);

/* The open button: light at once, before any host knows. */
void outputs_press_seen(uint32_t now_ms);

/* Once a millisecond: decide. */
void outputs_tick(uint32_t now_ms);
/* In the next millisecond's interrupt: do it, so that nothing at the desk shows what else the unit is busy with. */
void outputs_latch(void);

enum beacon outputs_beacon(void);
/* FLAG_BUZZER, FLAG_RELAY, FLAG_LOCAL_ALARM. */
uint8_t outputs_flags(void);

#endif
