/* SPDX-License-Identifier: Apache-2.0
 * The lid switch: is somebody at the unit's inside? */
#ifndef LID_H
#define LID_H

#include <stdbool.h>
#include <stdint.h>

void lid_start(void);

/* Once a millisecond. Tells kept.h what changed; a lid that is closed at the start is no news. */
void lid_tick(uint32_t now_ms);

bool lid_is_open(void);

#endif
