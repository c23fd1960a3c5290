/* SPDX-License-Identifier: Apache-2.0
 * Milliseconds since the start. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdbool.h>
#include <stdint.h>

void clock_start(void);
uint32_t clock_ms(void);

/* True once in each millisecond that has begun. */
bool clock_ticked(void);
/* The same without taking the tick; ask with interrupts off, before sleeping. */
bool clock_tick_waits(void);

/* Has `moment` come? Right across the wrap after 49 days. */
static inline bool reached(uint32_t now_ms, uint32_t moment_ms) { return (int32_t)(now_ms - moment_ms) >= 0; }

#endif
