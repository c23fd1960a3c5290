/* SPDX-License-Identifier: Apache-2.0
 * The supervised loop to the button: measured, classed, debounced. */
#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

void loop_start(void);

/* Once a millisecond. Tells kept.h and outputs.h what changed. */
void loop_tick(uint32_t now_ms);

/* Tell the loop whether every press is safe in the EEPROM; see loop.c, held_press_is_known. */
void loop_journal_written(bool written);

enum loop_state loop_now(void);
uint16_t loop_millivolts(void);
/* Presses since this start. */
uint16_t loop_presses(void);
/* A change is just being debounced. */
bool loop_is_settling(void);

#endif
