/* SPDX-License-Identifier: Apache-2.0
 * Bytes to and from the host, through two rings that interrupts empty and fill. */
#ifndef UART_H
#define UART_H

#include <stdbool.h>
#include <stdint.h>

void uart_start(void);

/* How many bytes fit now. */
uint8_t uart_room(void);
/* Nothing waits to leave. */
bool uart_is_idle(void);
/* Ask uart_room() first: a byte without room overwrites. */
void uart_put(uint8_t byte);

bool uart_has_input(void);
uint8_t uart_take(void);

/* Bytes that the line damaged or the ring had no room for; wraps. */
uint8_t uart_bad_bytes(void);

#endif
