/* SPDX-License-Identifier: Apache-2.0
 * Light, buzzer and relay: what the host leased, and what the unit does by itself when nobody answers. What comes first:
 *
 *   1  local alarm: an unanswered press, or an alert whose host died    flashes, siren, relay
 *   2  the host says that an alert is out (ALERT, LIGHT)                flashes; siren and relay for ALERT
 *   3  a press was seen, and nobody has it yet                          steady light, at most 10 s; not in a silent alert
 *   4  what else the host says
 *   5  the host is gone, or the open loop is faulty                     a short blink each second
 *
 * Nothing here asks about the covert button. */
#include "outputs.h"

#include <avr/io.h>

#include "board.h"
#include "clock.h"
#include "kept.h"
#include "link.h"
#include "loop.h"

static enum beacon leased = BEACON_OFF;
static uint32_t lease_ends_ms;
static bool press_light;
static uint32_t press_seen_ms;
static bool orphaned; /* the host died during an alert: nobody can take it over, so the siren sounds here */
static uint8_t flags;
static volatile bool led, buzzer, relay, alive; /* what outputs_latch() will put on the pins */

void outputs_start(void) {
    DDRB = _BV(LED_BIT) | _BV(ALIVE_BIT);
    DDRD = _BV(BUZZER_BIT) | _BV(RELAY_BIT);
}

/* ---- what to show ---- */

void outputs_set_beacon(enum beacon beacon, uint32_t lease_ms, uint32_t now_ms) {
    uint32_t waited_ms;
    leased = beacon;
    lease_ends_ms = now_ms + lease_ms;
    orphaned = false;
    if (!kept_oldest_open_press(now_ms, &waited_ms)) press_light = false; /* the host has it and says what to show */
}

void outputs_press_seen(uint32_t now_ms) {
    press_light = true;
    press_seen_ms = now_ms;
}

static bool alert_is_out(void) { return leased == BEACON_ALERT || leased == BEACON_LIGHT; }

static void end_what_has_ended(uint32_t now_ms) {
    if (press_light && now_ms - press_seen_ms >= PRESS_LIGHT_MS) press_light = false;
    if (leased == BEACON_OFF || !reached(now_ms, lease_ends_ms)) return;
    if (alert_is_out()) { /* the host may speak and only its renewals be lost: an alert ends by its word, or is orphaned */
        if (!link_host_gone(now_ms)) return;
        orphaned = true;
    }
    leased = BEACON_OFF;
}

static bool local_alarm(uint32_t now_ms) {
    uint32_t waited_ms;
    bool unanswered = kept_oldest_open_press(now_ms, &waited_ms);
    return orphaned || (unanswered && (waited_ms >= UNANSWERED_MS || link_host_gone(now_ms)));
}

static bool open_loop_is_faulty(void) { return loop_now(INPUT_OPEN) >= LOOP_CUT; }

static enum beacon shown(uint32_t now_ms, bool alarm) {
    if (alarm) return BEACON_ALERT;
    if (leased != BEACON_OFF) return leased;
    return link_host_gone(now_ms) || open_loop_is_faulty() ? BEACON_FAULT : BEACON_OFF;
}

/* ---- how to show it ---- */

static bool light(enum beacon beacon, uint32_t now_ms) {
    if (beacon == BEACON_ALERT || beacon == BEACON_LIGHT) return now_ms % FAST_FLASH_MS < FAST_FLASH_MS / 2;
    if (press_light && beacon != BEACON_ALERT_SILENT) return true;
    if (beacon == BEACON_COMING) return now_ms % SLOW_FLASH_MS < SLOW_FLASH_MS / 2;
    return beacon == BEACON_FAULT && now_ms % FAULT_BLINK_EVERY_MS < FAULT_BLINK_MS;
}

/* Going on once more waits until the last FLASHES_MAX times lie a second back. */
static bool not_too_often(bool wanted, uint32_t now_ms) {
    static uint32_t on_at_ms[FLASHES_MAX];
    static uint8_t known, oldest;
    if (!wanted || led) return wanted;
    if (known == FLASHES_MAX && now_ms - on_at_ms[oldest] < FLASHES_IN_MS) return false;
    if (known < FLASHES_MAX) known++;
    on_at_ms[oldest] = now_ms;
    oldest = (uint8_t)((oldest + 1) % FLASHES_MAX);
    return true;
}

void outputs_tick(uint32_t now_ms) {
    end_what_has_ended(now_ms);
    bool alarm = local_alarm(now_ms);
    enum beacon beacon = shown(now_ms, alarm);
    bool sounding = beacon == BEACON_ALERT;

    led = not_too_often(light(beacon, now_ms), now_ms);
    buzzer = sounding && (SIREN_PATTERN >> (now_ms / SIREN_BIT_MS % 32) & 1) != 0;
    relay = sounding;
    alive = now_ms % 500 < 20;
    flags = (uint8_t)((sounding ? FLAG_BUZZER | FLAG_RELAY : 0) | (alarm ? FLAG_LOCAL_ALARM : 0));
}

static inline void drive(volatile uint8_t *port, uint8_t bit, bool on) {
    if (on) *port = (uint8_t)(*port | _BV(bit));
    else *port = (uint8_t)(*port & ~_BV(bit));
}

void outputs_latch(void) {
    drive(&LED_PORT, LED_BIT, led);
    drive(&BUZZER_PORT, BUZZER_BIT, buzzer);
    drive(&RELAY_PORT, RELAY_BIT, relay);
    drive(&ALIVE_PORT, ALIVE_BIT, alive);
}

enum beacon outputs_beacon(void) { return leased; }
uint8_t outputs_flags(void) { return flags; }
