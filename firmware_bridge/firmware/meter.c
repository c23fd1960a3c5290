/* SPDX-License-Identifier: Apache-2.0
 * The meter: while the host leases it, the lowest and the highest of all samples, ten times a second.
 *
 * The lowest in rank: Readings begin only on an idle line on which nobody else will want to speak until they are out. What
 * has to wait loses nothing, its samples join the next ones. A press is debounced for longer than Readings take. */
#include "meter.h"

#include "board.h"
#include "identity.h"
#include "kept.h"
#include "link.h"
#include "loop.h"
#include "uart.h"

static struct {
    uint16_t lowest, highest;
} seen[INPUT_COUNT];
static uint16_t samples; /* in `seen` */
static uint16_t lease_left_ms;
static uint8_t seq;

static void begin_anew(void) {
    samples = 0;
    for (uint8_t input = 0; input < INPUT_COUNT; input++) {
        seen[input].lowest = UINT16_MAX;
        seen[input].highest = 0;
    }
}

void meter_lease(uint16_t lease_ms) {
    if (lease_left_ms == 0) begin_anew();
    lease_left_ms = lease_ms;
}

void meter_take(const uint16_t steps[INPUT_COUNT]) {
    if (samples < UINT16_MAX) samples++;
    for (uint8_t input = 0; input < INPUT_COUNT; input++) {
        if (steps[input] < seen[input].lowest) seen[input].lowest = steps[input];
        if (steps[input] > seen[input].highest) seen[input].highest = steps[input];
    }
}

static bool send_readings(void) {
    struct readings message = {.boot_id = identity_boot_id(), .samples = samples};
    for (uint8_t input = 0; input < INPUT_COUNT; input++) {
        message.of[input].now = loop_millivolts(input);
        message.of[input].lowest = loop_as_millivolts(seen[input].lowest);
        message.of[input].highest = loop_as_millivolts(seen[input].highest);
    }
    return link_send(MSG_READINGS, seq, &message, sizeof message);
}

static bool line_is_ours(uint32_t until_ms) {
    return uart_is_idle() && !loop_is_settling() && !kept_is_due(until_ms) && !link_heartbeat_is_due(until_ms);
}

void meter_tick(uint32_t now_ms) {
    if (lease_left_ms == 0) return;
    lease_left_ms--;
    if (samples < READINGS_SAMPLES || !line_is_ours(now_ms + READINGS_TAKE_MS) || !send_readings()) return;
    seq++;
    begin_anew();
}
