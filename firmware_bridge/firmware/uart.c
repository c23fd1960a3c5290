/* SPDX-License-Identifier: Apache-2.0
 * Bytes to and from the host, through two rings that interrupts empty and fill. */
#include "uart.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <util/setbaud.h>

#define OUT_SIZE 128 /* powers of two */
#define IN_SIZE 64

static volatile uint8_t out[OUT_SIZE], out_head, out_tail;
static volatile uint8_t in[IN_SIZE], in_head, in_tail;
static volatile uint8_t bad_bytes;

ISR(USART_UDRE_vect) {
    if (out_head == out_tail) {
        UCSR0B &= (uint8_t)~_BV(UDRIE0);
        return;
    }
    UDR0 = out[out_tail];
    out_tail = (out_tail + 1) & (OUT_SIZE - 1);
}

ISR(USART_RX_vect) {
    uint8_t status = UCSR0A, byte = UDR0, next = (in_head + 1) & (IN_SIZE - 1);
    if (status & (_BV(FE0) | _BV(DOR0))) bad_bytes++;
    if (next == in_tail) {
        bad_bytes++;
        return;
    }
    in[in_head] = byte;
    in_head = next;
}

void uart_start(void) {
    UBRR0 = UBRR_VALUE;
    UCSR0A = USE_2X ? _BV(U2X0) : 0;
    UCSR0C = _BV(UCSZ01) | _BV(UCSZ00); /* 8N1 */
    UCSR0B = _BV(RXEN0) | _BV(TXEN0) | _BV(RXCIE0);
}

uint8_t uart_room(void) { return (uint8_t)(out_tail - out_head - 1) & (OUT_SIZE - 1); }

bool uart_is_idle(void) { return out_head == out_tail; }

void uart_put(uint8_t byte) {
    out[out_head] = byte;
    out_head = (out_head + 1) & (OUT_SIZE - 1);
    UCSR0B |= _BV(UDRIE0);
}

bool uart_has_input(void) { return in_head != in_tail; }

uint8_t uart_take(void) {
    uint8_t byte = in[in_tail];
    in_tail = (in_tail + 1) & (IN_SIZE - 1);
    return byte;
}

uint8_t uart_bad_bytes(void) { return bad_bytes; }
