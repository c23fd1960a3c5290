/* SPDX-License-Identifier: Apache-2.0
 * The supervised loop to the button: measured, classed, debounced. */
#include "loop.h"

#include <avr/io.h>

#include "board.h"
#include "kept.h"
#include "outputs.h"

#define HELD 0xA5C3

static enum loop_state state = LOOP_UNKNOWN, candidate = LOOP_UNKNOWN;
static uint8_t agreeing_ms;
static uint16_t steps, presses;
static uint32_t pressed_at_ms;

/* A reset while the button is held must not make a second press of it, nor lose it: set once the press is safe in the
 * EEPROM. SRAM keeps its content through a reset; after a power cut the pattern is gone, and the held button counts. */
static uint16_t held_press_is_known __attribute__((section(".noinit")));

static enum loop_state class_of(uint16_t sample) {
    if (sample < SHORT_BELOW) return LOOP_SHORT;
    if (sample >= PRESSED_FROM && sample < PRESSED_BELOW) return LOOP_PRESSED;
    if (sample >= NORMAL_FROM && sample < NORMAL_BELOW) return LOOP_NORMAL;
    if (sample >= CUT_FROM) return LOOP_CUT;
    return LOOP_ODD;
}

static bool is_fault(enum loop_state s) { return s == LOOP_CUT || s == LOOP_SHORT || s == LOOP_ODD; }

void loop_start(void) {
    DIDR0 = _BV(LOOP_CHANNEL);
    ADMUX = _BV(REFS0) | LOOP_CHANNEL; /* against the supply, like the loop itself: the ratio needs no exact 5 V */
    ADCSRA |= _BV(ADSC);
}

static void press_begins(uint32_t now_ms) {
    pressed_at_ms = now_ms;
    if (state == LOOP_UNKNOWN && held_press_is_known == HELD) return; /* held through a reset, told before it */
    kept_press(++presses, now_ms);
    outputs_press_seen(now_ms);
}

static void change_to(enum loop_state next, uint32_t now_ms) {
    enum loop_state before = state;
    if (next == LOOP_PRESSED) press_begins(now_ms);
    else {
        held_press_is_known = 0;
        if (before == LOOP_PRESSED) kept_release(presses, now_ms - pressed_at_ms, now_ms);
    }
    state = next;
    if (is_fault(before) || is_fault(next)) kept_loop_change((uint8_t)before, (uint8_t)next, loop_millivolts(), now_ms);
}

/* Samples that agree count up, others count down: a bounce delays a press, it never hides one. */
static void weigh(enum loop_state sample, uint32_t now_ms) {
    if (sample != state && (sample == candidate || agreeing_ms == 0)) {
        candidate = sample;
        if (++agreeing_ms < (is_fault(sample) ? FAULT_MS : DEBOUNCE_MS)) return;
        agreeing_ms = 0;
        change_to(sample, now_ms);
    } else if (agreeing_ms > 0) {
        agreeing_ms--;
    }
}

void loop_tick(uint32_t now_ms) {
    if (ADCSRA & _BV(ADSC)) return;
    steps = ADC;
    ADCSRA |= _BV(ADSC);
    weigh(class_of(steps), now_ms);
}

void loop_journal_written(bool written) {
    if (written && state == LOOP_PRESSED) held_press_is_known = HELD;
}

enum loop_state loop_now(void) { return state; }
uint16_t loop_millivolts(void) { return (uint16_t)((uint32_t)steps * 5000 / 1024); }
uint16_t loop_presses(void) { return presses; }
bool loop_is_settling(void) { return agreeing_ms > 0; }
