/* SPDX-License-Identifier: Apache-2.0
 * Messages to and from the host, and whether there is a host at all. */
#include "link.h"

#include <string.h>

#include "board.h"
#include "clock.h"
#include "frame.h"
#include "identity.h"
#include "journal.h"
#include "kept.h"
#include "lid.h"
#include "loop.h"
#include "meter.h"
#include "outputs.h"
#include "protocol.h"
#include "uart.h"

static uint8_t received[FRAME_WIRE_MAX], received_length;
static bool overlong;
static uint8_t bad_frames;
static bool self_test_allowed, self_test_wanted;

static bool host_present;
static uint32_t host_heard_ms;
static uint32_t heartbeat_sent_ms;

bool link_self_test_wanted(void) { return self_test_wanted; }
void link_allow_self_test(bool allowed) { self_test_allowed = allowed; }
bool link_host_present(void) { return host_present; }
bool link_host_gone(uint32_t now_ms) { return now_ms - host_heard_ms > HOST_GONE_MS; }

bool link_send(uint8_t type, uint8_t seq, const void *payload, uint8_t length) {
    uint8_t bytes[FRAME_SENT_MAX];
    uint8_t count = frame_encode(bytes, type, seq, payload, length);
    if (uart_room() < count) return false;
    for (uint8_t i = 0; i < count; i++) uart_put(bytes[i]);
    return true;
}

/* An answer without room is dropped: who asked will ask again. */
static bool may_answer(void) { return uart_room() >= LINK_ROOM_FOR_ANSWER; }

static void acknowledge(uint8_t seq, uint8_t status) {
    struct ack message = {seq, status, identity_boot_id()};
    if (may_answer()) link_send(MSG_ACK, 0, &message, sizeof message);
}

/* ---- what the unit says ---- */

static uint8_t flags(void) {
    return (uint8_t)((host_present ? FLAG_HOST : 0) | (lid_is_open() ? FLAG_LID_OPEN : 0) |
                     (journal_is_sound() ? 0 : FLAG_JOURNAL) | outputs_flags());
}

static bool send_heartbeat(uint32_t now_ms) {
    struct heartbeat message = {
        .uptime_ms = now_ms,
        .boot_id = identity_boot_id(),
        .loop = (uint8_t)loop_now(INPUT_OPEN),
        .flags = flags(),
        .millivolts = loop_millivolts(INPUT_OPEN),
        .presses = loop_presses(INPUT_OPEN),
        .kept_presses = kept_presses_now(INPUT_OPEN),
        .beacon = (uint8_t)outputs_beacon(),
        .bad_frames = (uint8_t)(bad_frames + uart_bad_bytes()),
        .queued = kept_all(),
        .covert_loop = (uint8_t)loop_now(INPUT_COVERT),
        .covert_millivolts = loop_millivolts(INPUT_COVERT),
        .covert_presses = loop_presses(INPUT_COVERT),
        .covert_kept_presses = kept_presses_now(INPUT_COVERT),
    };
    return link_send(MSG_HEARTBEAT, 0, &message, sizeof message);
}

static void greet(uint32_t now_ms) {
    if (may_answer()) identity_send();
    if (may_answer() && send_heartbeat(now_ms)) heartbeat_sent_ms = now_ms;
}

/* ---- what the host says: a message may be longer than we know, its first bytes keep their meaning ---- */

static void on_ack(const uint8_t *payload, uint8_t length) {
    struct ack message;
    if (length < sizeof message) return;
    memcpy(&message, payload, sizeof message);
    kept_acknowledge(message.seq, message.boot_id);
}

static uint8_t on_set_beacon(const uint8_t *payload, uint8_t length, uint32_t now_ms) {
    struct set_beacon message;
    if (length < sizeof message) return ACK_BAD_PAYLOAD;
    memcpy(&message, payload, sizeof message);
    if (message.beacon >= BEACON_COUNT) return ACK_BAD_PAYLOAD;
    outputs_set_beacon((enum beacon)message.beacon, 100UL * message.lease_100ms, now_ms);
    return ACK_DONE;
}

static uint8_t on_self_test(const uint8_t *payload, uint8_t length) {
    uint16_t key;
    if (length < sizeof key) return ACK_BAD_PAYLOAD;
    memcpy(&key, payload, sizeof key);
    if (key != SELF_TEST_KEY) return ACK_BAD_PAYLOAD;
    if (!self_test_allowed) return ACK_NOT_NOW;
    self_test_wanted = true;
    return ACK_DONE;
}

static uint8_t on_meter(const uint8_t *payload, uint8_t length) {
    struct meter message;
    if (length < sizeof message) return ACK_BAD_PAYLOAD;
    memcpy(&message, payload, sizeof message);
    meter_lease((uint16_t)(100 * message.lease_100ms));
    return ACK_DONE;
}

static void hear_host(uint32_t now_ms) {
    uint32_t away_ms = now_ms - host_heard_ms;
    bool lost_before = !host_present && host_heard_ms != 0;
    host_heard_ms = now_ms;
    host_present = true;
    if (lost_before) kept_host_lost(away_ms, now_ms);
}

static void dispatch(uint8_t length, uint32_t now_ms) {
    uint8_t type = received[0], seq = received[1], status = ACK_UNKNOWN_TYPE;
    const uint8_t *payload = received + 2;
    length = (uint8_t)(length - 2);
    if (!(type & FROM_HOST)) return; /* an echo of our own words */
    hear_host(now_ms);
    switch (type) {
        case MSG_HOST_ACK: on_ack(payload, length); return;
        case MSG_HOST_HEARTBEAT: return;
        case MSG_HELLO: greet(now_ms); return; /* the host says its version; it is the host that minds ours */
        case MSG_SET_BEACON: status = on_set_beacon(payload, length, now_ms); break;
        case MSG_SELF_TEST: status = on_self_test(payload, length); break;
        case MSG_METER: status = on_meter(payload, length); break;
        default: break;
    }
    if (type & UNTIL_ACKNOWLEDGED) acknowledge(seq, status);
}

static void end_of_frame(uint32_t now_ms) {
    if (received_length > 0) {
        uint8_t length = overlong ? 0 : frame_decode(received, received_length);
        if (length) dispatch(length, now_ms);
        else bad_frames++;
    }
    received_length = 0;
    overlong = false;
}

void link_poll(uint32_t now_ms) {
    while (uart_has_input()) {
        uint8_t byte = uart_take();
        if (byte == 0) {
            end_of_frame(now_ms);
            return;
        }
        if (received_length < sizeof received) received[received_length++] = byte;
        else overlong = true;
    }
}

/* ---- once a millisecond ---- */

bool link_heartbeat_is_due(uint32_t by_ms) { return by_ms - heartbeat_sent_ms >= HEARTBEAT_EVERY_MS; }

void link_tick(uint32_t now_ms) {
    if (host_present && link_host_gone(now_ms)) host_present = false;
    if (!link_heartbeat_is_due(now_ms)) return;
    if (loop_is_settling() && !link_heartbeat_is_due(now_ms - HEARTBEAT_YIELDS_MS)) return;
    if (send_heartbeat(now_ms)) heartbeat_sent_ms = now_ms;
}
