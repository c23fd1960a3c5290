/* SPDX-License-Identifier: Apache-2.0
 * Events that are repeated until the host has acknowledged them; presses survive even a power cut. */
#ifndef KEPT_H
#define KEPT_H

#include <stdbool.h>
#include <stdint.h>

#include "journal.h"
#include "protocol.h"

/* A press. After some unanswered ones at the same input the newest stands for this press too: nothing is forgotten. */
void kept_press(enum input input, uint16_t count, uint32_t now_ms);

/* Events whose loss would be seen in the next heartbeat; dropped when their slots are full. */
void kept_release(enum input input, uint16_t count, uint32_t held_ms, uint32_t now_ms);
void kept_loop_change(enum input input, enum loop_state before, enum loop_state after, uint16_t millivolts,
                      uint32_t now_ms);
void kept_lid_change(bool opened, uint32_t now_ms);
void kept_host_lost(uint32_t away_ms, uint32_t now_ms);

void kept_acknowledge(uint8_t seq, uint32_t boot_id);

/* Send what is due. */
void kept_tick(uint32_t now_ms);
/* Whether anything has its turn at `by_ms` or before. */
bool kept_is_due(uint32_t by_ms);

/* Presses of this start at one input that are not acknowledged (at most 255 are told). */
uint8_t kept_presses_now(enum input input);
/* Events of all kinds. */
uint8_t kept_all(void);
/* How long the oldest unacknowledged press of the open button has waited; false when there is none. A covert press is
 * nobody's business but the host's. */
bool kept_oldest_open_press(uint32_t now_ms, uint32_t *waited_ms);

/* For the journal. False: no room now. */
bool kept_restore(uint8_t place, const struct journal_press *press);
void kept_tidy(void);
const struct journal_press *kept_at_place(uint8_t place);
/* It does not take what is written: what is kept there goes elsewhere. */
void kept_give_up_place(uint8_t place);
/* A press is in RAM alone: it found no place, and gets the next one that an acknowledgement sets free. */
bool kept_lacks_a_place(void);

#endif
