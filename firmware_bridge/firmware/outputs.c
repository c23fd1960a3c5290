/* SPDX-License-Identifier: Apache-2.0
 * Light, buzzer and relay: what the host leased, and what the unit does by itself when nobody answers. */
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

void outputs_start(void) {
    DDRB = _BV(LED_BIT) | _BV(ALIVE_BIT);
    DDRD = _BV(BUZZER_BIT) | _BV(RELAY_BIT);
}

void outputs_set_beacon(enum beacon beacon, uint32_t lease_ms, uint32_t now_ms) {
    uint32_t waited_ms;
    leased = beacon;
    lease_ends_ms = now_ms + lease_ms;
    orphaned = false;
    if (!kept_oldest_press(now_ms, &waited_ms)) press_light = false; /* the host has it and says what to show */
}

void outputs_press_seen(uint32_t now_ms) {
    press_light = true;
    press_seen_ms = now_ms;
}

static void end_lease(uint32_t now_ms) {
    if (leased == BEACON_OFF || !reached(now_ms, lease_ends_ms)) return;
    if ((leased == BEACON_ALERT || leased == BEACON_LIGHT) && link_host_gone(now_ms)) orphaned = true;
    leased = BEACON_OFF;
}

static bool local_alarm(uint32_t now_ms) {
    uint32_t waited_ms;
    bool unanswered = kept_oldest_press(now_ms, &waited_ms);
    return orphaned || (unanswered && (waited_ms >= UNANSWERED_MS || link_host_gone(now_ms)));
}

static bool loop_is_faulty(void) { return loop_now() >= LOOP_CUT; }

static enum beacon shown(uint32_t now_ms, bool alarm) {
    if (alarm) return BEACON_ALERT;
    if (leased != BEACON_OFF) return leased;
    return link_host_gone(now_ms) || loop_is_faulty() ? BEACON_FAULT : BEACON_OFF;
}

static bool light(enum beacon beacon, uint32_t now_ms) {
    switch (beacon) {
        case BEACON_ALERT:
        case BEACON_LIGHT: return now_ms % FAST_FLASH_MS < FAST_FLASH_MS / 2;
        case BEACON_COMING: return now_ms % SLOW_FLASH_MS < SLOW_FLASH_MS / 2;
        case BEACON_FAULT: return now_ms % FAULT_BLINK_EVERY_MS < FAULT_BLINK_MS;
        default: return false;
    }
}

static void drive(volatile uint8_t *port, uint8_t bit, bool on) {
    if (on) *port |= (uint8_t)_BV(bit);
    else *port &= (uint8_t)~_BV(bit);
}

void outputs_tick(uint32_t now_ms) {
    end_lease(now_ms);
    if (press_light && now_ms - press_seen_ms >= PRESS_LIGHT_MS) press_light = false;

    bool alarm = local_alarm(now_ms);
    enum beacon beacon = shown(now_ms, alarm);
    bool sounding = beacon == BEACON_ALERT;
    bool buzzer = sounding && (SIREN_PATTERN >> (now_ms / SIREN_BIT_MS % 32) & 1);
    bool pressed_just_now = press_light && leased != BEACON_ALERT_SILENT;

    drive(&LED_PORT, LED_BIT, light(pressed_just_now ? BEACON_ALERT : beacon, now_ms));
    drive(&BUZZER_PORT, BUZZER_BIT, buzzer);
    drive(&RELAY_PORT, RELAY_BIT, sounding);
    drive(&ALIVE_PORT, ALIVE_BIT, now_ms % 500 < 20);
    flags = (uint8_t)((sounding ? FLAG_BUZZER | FLAG_RELAY : 0) | (alarm ? FLAG_LOCAL_ALARM : 0));
}

enum beacon outputs_beacon(void) { return leased; }
uint8_t outputs_flags(void) { return flags; }
