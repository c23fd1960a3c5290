/* SPDX-License-Identifier: Apache-2.0
 * The supervised loops to the buttons: measured, classed, debounced. The two differ in nothing but this: only the open
 * one tells outputs.h. */
#include "loop.h"

#include <string.h>

#include "board.h"
#include "converter.h"
#include "kept.h"
#include "meter.h"
#include "outputs.h"

#define HELD 0xA5C3
#define LOOP_STATES (LOOP_ODD + 1)

static struct loop {
    enum loop_state state;
    uint16_t seen[LOOP_STATES]; /* how much speaks for each state but the present one */
    uint16_t steps, presses;
    uint32_t pressed_at_ms;
} loops[INPUT_COUNT];

/* A reset while a button is held must not make a second press of it, nor lose it: set once the press is safe in the
 * EEPROM. SRAM keeps its content through a reset; after a power cut the pattern is gone, and the held button counts. */
static uint16_t held_press_is_known[INPUT_COUNT] __attribute__((section(".noinit")));

static enum loop_state class_of(uint16_t sample) {
    if (sample < SHORT_BELOW) return LOOP_SHORT;
    if (sample >= PRESSED_FROM && sample < PRESSED_BELOW) return LOOP_PRESSED;
    if (sample >= NORMAL_FROM && sample < NORMAL_BELOW) return LOOP_NORMAL;
    if (sample >= CUT_FROM) return LOOP_CUT;
    return LOOP_ODD;
}

static bool is_fault(enum loop_state state) { return state >= LOOP_CUT; }

static void press_begins(enum input input, uint32_t now_ms) {
    struct loop *loop = &loops[input];
    loop->pressed_at_ms = now_ms;
    if (loop->state == LOOP_UNKNOWN && held_press_is_known[input] == HELD) return; /* told before the reset */
    held_press_is_known[input] = 0;
    kept_press(input, ++loop->presses, now_ms);
    if (input == INPUT_OPEN) outputs_press_seen(now_ms);
}

static void press_ends(enum input input, uint32_t now_ms) {
    const struct loop *loop = &loops[input];
    kept_release(input, loop->presses, now_ms - loop->pressed_at_ms, now_ms);
}

static void change_to(enum input input, enum loop_state next, uint32_t now_ms) {
    struct loop *loop = &loops[input];
    enum loop_state before = loop->state;
    if (next == LOOP_PRESSED) press_begins(input, now_ms);
    else held_press_is_known[input] = 0;
    if (before == LOOP_PRESSED) press_ends(input, now_ms);
    loop->state = next;
    if (is_fault(before) || is_fault(next)) kept_loop_change(input, before, next, loop_millivolts(input), now_ms);
}

/* What a sample weighs for its state; so much is a proof. */
#define PROOF 1600
static uint8_t weight_for(enum loop_state next) { return is_fault(next) ? PROOF / FAULT_MS : PROOF / DEBOUNCE_MS; }

/* What a sample that speaks against a state weighs. With weight_for() this sets the share of the time from which the state
 * wins: pressed from 40 %, whatever the rest is; a fault over normal from one ninth. */
static uint8_t weight_against(enum loop_state next, enum loop_state present) {
    if (next == LOOP_PRESSED) return PROOF / DEBOUNCE_MS * 2 / 3;
    if (present == LOOP_PRESSED) return (uint8_t)(weight_for(next) * 3 / 2);
    if (!is_fault(present)) return 1;
    return next == LOOP_NORMAL ? UINT8_MAX : weight_for(next); /* mended is what does not flicker */
}

/* A loose wire, now one thing and now another, is odd. */
static bool speaks_for(enum loop_state next, enum loop_state sample, enum loop_state present) {
    return sample == next || (next == LOOP_ODD && !is_fault(present) && sample != present && sample != LOOP_NORMAL);
}

static void less(uint16_t *seen, uint8_t by) { *seen = *seen > by ? *seen - by : 0; }

/* A bounce delays a press; neither a bounce nor a loose wire hides one. Out of normal or pressed only the present state's
 * own samples speak against the others: what is neither one nor the other for long must end in something. */
static void weigh(enum input input, enum loop_state sample, uint32_t now_ms) {
    struct loop *loop = &loops[input];
    enum loop_state present = loop->state;
    for (enum loop_state next = LOOP_NORMAL; next < LOOP_STATES; next++) {
        uint16_t *seen = &loop->seen[next];
        if (next == present) continue;
        if (speaks_for(next, sample, present)) *seen += weight_for(next);
        else if (sample == present || is_fault(present)) less(seen, weight_against(next, present));
    }
    enum loop_state next = loop->seen[sample] >= PROOF || sample == LOOP_PRESSED ? sample : LOOP_ODD; /* a press goes first */
    if (loop->seen[next] < PROOF) return;
    memset(loop->seen, 0, sizeof loop->seen);
    change_to(input, next, now_ms);
}

bool loop_tick(uint32_t now_ms) {
    uint16_t steps[INPUT_COUNT];
    if (!converter_take(steps)) return false;
    converter_begin();
    meter_take(steps);
    for (uint8_t input = 0; input < INPUT_COUNT; input++) {
        loops[input].steps = steps[input];
        weigh((enum input)input, class_of(steps[input]), now_ms);
    }
    return true;
}

void loop_journal_written(bool written) {
    for (uint8_t input = 0; input < INPUT_COUNT; input++)
        if (written && loops[input].state == LOOP_PRESSED) held_press_is_known[input] = HELD;
}

enum loop_state loop_now(enum input input) { return loops[input].state; }

/* Inlined where it is used, it would cost 100 bytes of flash. */
__attribute__((noinline)) uint16_t loop_as_millivolts(uint16_t steps) {
    return (uint16_t)((uint32_t)steps * 5000 / 1024);
}

uint16_t loop_millivolts(enum input input) { return loop_as_millivolts(loops[input].steps); }
uint16_t loop_presses(enum input input) { return loops[input].presses; }

bool loop_is_settling(void) {
    for (uint8_t input = 0; input < INPUT_COUNT; input++)
        if (loops[input].seen[LOOP_PRESSED] > 0) return true;
    return false;
}

bool loop_is_quiet(void) {
    return loops[INPUT_OPEN].state != LOOP_PRESSED && loops[INPUT_COVERT].state != LOOP_PRESSED && !loop_is_settling();
}
