/* SPDX-License-Identifier: Apache-2.0
 * The supervised loops to the buttons: measured, classed, debounced. */
#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

/* Once a millisecond. Tells kept.h and outputs.h what changed. False when the converter had no samples: once in a while
 * that is nothing, for longer it means that no press can be seen. */
bool loop_tick(uint32_t now_ms);

/* Tell the loops whether every press is safe in the EEPROM; see loop.c, held_press_is_known. */
void loop_journal_written(bool written);

enum loop_state loop_now(enum input input);
uint16_t loop_millivolts(enum input input);
/* Steps of the converter in millivolts. */
uint16_t loop_as_millivolts(uint16_t steps);
/* Presses since this start. */
uint16_t loop_presses(enum input input);
/* A press is just being debounced, at either. */
bool loop_is_settling(void);
/* Nobody presses, and nothing speaks for it, at either. */
bool loop_is_quiet(void);

#endif
