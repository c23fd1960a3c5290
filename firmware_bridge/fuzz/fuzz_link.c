/* SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer against the unit's end of the link: the firmware's own frame.c, link.c, kept.c and journal.c on the host, with
 * stand-ins for what touches the chip. An input is a script of moments: time, presses, bytes and frames from the host
 * (the CRC is made here, so that a mutation gets past it), acknowledgements that come late, resets, power cuts.
 *
 * What must hold whatever comes, else it aborts:
 *   - a frame of the unit is intact and names only presses that were made
 *   - what the host has not acknowledged is kept; a heartbeat counts it rightly
 *   - an acknowledgement clears what its frame stood for and no more, and one of another start clears nothing
 *   - once the EEPROM is written, a reset or a power cut forgets no press (while its 32 places suffice)
 *   - the rings and slots never overflow (ASan, UBSan)
 *
 * Built and run by `make fuzz`. */
#include "../firmware/crc.c"
#include "../firmware/frame.c"
#include "../firmware/journal.c"
#include "../firmware/kept.c"
#include "../firmware/link.c"
#include "../firmware/meter.c"

#include <stdio.h>
#include <stdlib.h>

#define STARTS 12
#define COUNTS 600
#define OUT_SIZE 128
#define IN_SIZE 64
#define BYTES_A_SECOND 3840
#define EEPROM_WRITE_MS 4
#define HEARD 16

#define MUST(condition)                                                                        \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                           \
        }                                                                                      \
    } while (0)

/* ---- the script ---- */

static const uint8_t *script;
static size_t script_left;

static uint8_t next(void) {
    if (script_left == 0) return 0;
    script_left--;
    return *script++;
}

/* ---- the chip's stand-ins ---- */

static uint32_t now, boot;
static uint8_t start_number;
static uint8_t out_used, in[IN_SIZE], in_from, in_used, bad_bytes;
static uint32_t out_drained;
static uint8_t cells[EEPROM_CELLS];
static uint32_t writing_until;
static uint16_t writing_cell;
static uint16_t pressed[INPUT_COUNT];
static bool settling, lid_opened;

static void heard_by_host(uint8_t byte);

uint32_t clock_ms(void) { return now; }
uint8_t uart_room(void) { return (uint8_t)(OUT_SIZE - 1 - out_used); }
void uart_put(uint8_t byte) {
    MUST(out_used < OUT_SIZE - 1);
    out_used++;
    heard_by_host(byte);
}
bool uart_has_input(void) { return in_used > 0; }
uint8_t uart_take(void) {
    MUST(in_used > 0);
    uint8_t byte = in[in_from];
    in_from = (uint8_t)((in_from + 1) % IN_SIZE);
    in_used--;
    return byte;
}
bool uart_is_idle(void) { return out_used == 0; }
uint8_t uart_bad_bytes(void) { return bad_bytes; }
void eeprom_read(void *to, uint16_t cell, uint8_t length) {
    MUST(cell + length <= EEPROM_CELLS);
    memcpy(to, cells + cell, length);
}
void eeprom_begin_write(uint16_t cell, uint8_t byte) {
    MUST(cell < EEPROM_CELLS);
    if (cells[cell] == byte) return;
    cells[cell] = byte;
    writing_cell = cell;
    writing_until = now + EEPROM_WRITE_MS;
}
bool eeprom_idle(void) { return reached(now, writing_until); }
void watchdog_feed(void) {}
uint8_t watchdog_reset_cause(void) { return 1; }
uint32_t identity_boot_id(void) { return boot; }
void identity_send(void) {
    struct identity message = {.protocol = PROTOCOL_VERSION, .boot_id = boot};
    link_send(MSG_IDENTITY, 0, &message, sizeof message);
}
bool lid_is_open(void) { return lid_opened; }
enum loop_state loop_now(enum input input) { return input ? LOOP_NORMAL : LOOP_PRESSED; }
uint16_t loop_millivolts(enum input input) { return input ? 2500 : 1209; }
uint16_t loop_as_millivolts(uint16_t steps) { return (uint16_t)(steps * 5000UL / 1024); }
uint16_t loop_presses(enum input input) { return pressed[input]; }
bool loop_is_settling(void) { return settling; }
void outputs_set_beacon(enum beacon beacon, uint32_t lease_ms, uint32_t now_ms) {
    MUST(beacon < BEACON_COUNT);
    MUST(lease_ms <= 25500 && now_ms == now);
}
enum beacon outputs_beacon(void) { return BEACON_OFF; }
uint8_t outputs_flags(void) { return 0; }

/* ---- what was made, and what the host has acknowledged ---- */

struct covers { /* one press frame, as the host heard it */
    uint32_t boot;
    uint8_t seq;
    struct press press;
};

static bool owed[STARTS][INPUT_COUNT][COUNTS];
static uint16_t made[STARTS][INPUT_COUNT];
static bool may_forget; /* a reset came before the EEPROM was written, or there were more presses than it or the slots hold */
static struct covers frames[HEARD];
static uint32_t frames_heard;
static uint8_t host_bytes[FRAME_SENT_MAX], host_length;

static uint32_t boot_of(uint8_t start) { return (uint32_t)(start + 1) << 16 | 0xBEEF; }

static bool was_made(const struct press *press, uint8_t *start) {
    *start = (uint8_t)((press->origin >> 16) - 1);
    if (*start > start_number || press->origin != boot_of(*start) || press->input >= INPUT_COUNT) return false;
    return press->count <= made[*start][press->input] && press->merged < press->count;
}

static void on_press_frame(uint8_t seq, const uint8_t *payload, uint8_t length) {
    struct covers *heard = &frames[frames_heard++ % HEARD];
    uint8_t start;
    MUST(length == sizeof heard->press);
    memcpy(&heard->press, payload, sizeof heard->press);
    heard->boot = boot;
    heard->seq = seq;
    MUST(heard->press.boot_id == boot);
    MUST(was_made(&heard->press, &start));
}

static uint16_t kept_of(enum input input) {
    uint16_t kept = 0;
    for (uint16_t count = 1; count <= pressed[input]; count++) kept += owed[start_number][input][count];
    return kept;
}

static void on_heartbeat(const uint8_t *payload, uint8_t length) {
    struct heartbeat beat;
    MUST(length == sizeof beat);
    memcpy(&beat, payload, sizeof beat);
    MUST(beat.boot_id == boot && beat.uptime_ms == now && beat.presses == pressed[0] && beat.covert_presses == pressed[1]);
    MUST(!(beat.flags & FLAG_JOURNAL) == journal_is_sound());
    if (may_forget) return;
    MUST(beat.kept_presses == (kept_of(INPUT_OPEN) > 255 ? 255 : kept_of(INPUT_OPEN)));
    MUST(beat.covert_kept_presses == (kept_of(INPUT_COVERT) > 255 ? 255 : kept_of(INPUT_COVERT)));
}

static void on_readings(const uint8_t *payload, uint8_t length) {
    struct readings told;
    MUST(length == sizeof told);
    memcpy(&told, payload, sizeof told);
    MUST(told.boot_id == boot && told.samples >= READINGS_SAMPLES && lease_left_ms < 25500 && !settling);
    for (uint8_t input = 0; input < INPUT_COUNT; input++) MUST(told.of[input].lowest <= told.of[input].highest);
}

static void heard_by_host(uint8_t byte) {
    if (byte) {
        MUST(host_length < FRAME_WIRE_MAX);
        host_bytes[host_length++] = byte;
        return;
    }
    if (host_length == 0) return;
    uint8_t length = frame_decode(host_bytes, host_length);
    host_length = 0;
    MUST(length >= 2 && !(host_bytes[0] & FROM_HOST));
    if (host_bytes[0] == MSG_PRESS) on_press_frame(host_bytes[1], host_bytes + 2, (uint8_t)(length - 2));
    if (host_bytes[0] == MSG_READINGS) on_readings(host_bytes + 2, (uint8_t)(length - 2));
    if (host_bytes[0] == MSG_HEARTBEAT) on_heartbeat(host_bytes + 2, (uint8_t)(length - 2));
}

/* ---- what is kept, as the slots say it ---- */

static bool in_a_slot(uint8_t start, uint8_t input, uint16_t count) {
    for (uint8_t i = 0; i < PRESS_SLOTS; i++) {
        const struct journal_press *press = &slots[i].press;
        if (!slots[i].type || press->origin != boot_of(start) || press->input != input) continue;
        if (count <= press->count && count >= press->count - press->merged) return true;
    }
    return false;
}

static bool in_the_eeprom(uint8_t start, uint8_t input, uint16_t count) {
    for (uint8_t place = 0; place < JOURNAL_PLACES; place++) {
        struct entry entry;
        if (!(waiting & journal_bit(place)) || !read_entry(place, &entry) || entry.press.origin != boot_of(start)) continue;
        if (entry.press.input == input && count <= entry.press.count && count >= entry.press.count - entry.press.merged) return true;
    }
    return false;
}

static bool a_place_is_free(void) {
    for (uint8_t place = 0; place < JOURNAL_PLACES; place++)
        if (!(waiting & journal_bit(place)) && !kept_at_place(place)) return true;
    return false;
}

static void nothing_is_forgotten(void) {
    MUST(!kept_lacks_a_place() || !a_place_is_free());
    if (may_forget) return;
    for (uint8_t start = 0; start <= start_number; start++)
        for (uint8_t input = 0; input < INPUT_COUNT; input++)
            for (uint16_t count = 1; count <= made[start][input]; count++)
                if (owed[start][input][count]) MUST(in_a_slot(start, input, count) || in_the_eeprom(start, input, count));
}

/* ---- moments ---- */

static void drain(void) {
    out_drained += BYTES_A_SECOND;
    uint8_t bytes = (uint8_t)(out_drained / 1000);
    out_drained %= 1000;
    out_used = (uint8_t)(out_used > bytes ? out_used - bytes : 0);
}

static void millisecond(void) {
    const uint16_t sample[INPUT_COUNT] = {(uint16_t)(now & 1023), 512};
    now++;
    drain();
    kept_tick(now);
    link_tick(now);
    meter_take(sample);
    meter_tick(now);
    journal_tick();
}

static void pass(uint16_t ms) {
    while (ms--) millisecond();
}

static void from_host(uint8_t byte) {
    if (in_used == IN_SIZE) link_poll(now);
    if (in_used == IN_SIZE) return;
    in[(in_from + in_used++) % IN_SIZE] = byte;
    if (byte == 0)
        while (in_used) link_poll(now);
}

static void begin(void) {
    memset(slots, 0, sizeof slots);
    last_seq = received_length = bad_frames = 0;
    lease_left_ms = 0;
    overlong = self_test_wanted = self_test_allowed = host_present = false;
    host_heard_ms = heartbeat_sent_ms = 0;
    touched = waiting = 0;
    cell_worn = false;
    writing = times_written = 0;
    last_place = JOURNAL_PLACES - 1;
    in_used = out_used = host_length = 0;
    pressed[0] = pressed[1] = 0;
    now = 5;
    writing_until = 0;
    journal_start();
    journal_count_start();
    boot = boot_of(start_number);
    journal_load();
    identity_send();
    nothing_is_forgotten();
}

static void start_again(bool power_cut) {
    if (start_number + 1 >= STARTS) return;
    if (power_cut && !eeprom_idle()) cells[writing_cell] = next(); /* half a byte, in the middle of being written */
    if (touched || !eeprom_idle() || kept_lacks_a_place()) may_forget = true; /* each heartbeat has said the latter */
    start_number++;
    begin();
}

static void press(void) {
    enum input input = (enum input)(next() & 1);
    if (pressed[input] + 1 >= COUNTS) return;
    if (kept_of(input) >= 255) may_forget = true;
    pass(25); /* nobody presses faster than the debounce */
    uint16_t count = ++pressed[input];
    made[start_number][input] = count;
    owed[start_number][input][count] = true;
    kept_press(input, count, now);
    pass(25);
    if (next() & 1) kept_release(input, count, 25, now);
}

static void speak(uint8_t type, uint8_t seq, const void *payload, uint8_t length) {
    uint8_t bytes[FRAME_SENT_MAX];
    uint8_t count = frame_encode(bytes, type, seq, payload, length);
    for (uint8_t i = 0; i < count; i++) from_host(bytes[i]);
}

/* The host has the presses of a frame that it heard, and says so: now, or late. */
static void acknowledge_one(void) {
    if (frames_heard == 0) return;
    uint32_t back = next() % (frames_heard < HEARD ? frames_heard : HEARD);
    const struct covers *heard = &frames[(frames_heard - 1 - back) % HEARD];
    uint8_t start;
    if (!was_made(&heard->press, &start)) return;
    struct press covered = heard->press;
    struct ack message = {heard->seq, ACK_DONE, heard->boot};
    if (heard->boot == boot) /* what it stood for is with the host, whether or not the unit hears this */
        for (uint16_t back_to = 0; back_to <= covered.merged; back_to++)
            if (!in_a_slot(start, covered.input, (uint16_t)(covered.count - back_to))) owed[start][covered.input][covered.count - back_to] = false;
    bool was[INPUT_COUNT][COUNTS];
    for (uint8_t input = 0; input < INPUT_COUNT; input++)
        for (uint16_t count = 1; count <= made[start][input]; count++) was[input][count] = in_a_slot(start, input, count);
    speak(MSG_HOST_ACK, 0, &message, sizeof message);
    for (uint8_t input = 0; input < INPUT_COUNT; input++)
        for (uint16_t count = 1; count <= made[start][input]; count++) {
            if (!was[input][count] || in_a_slot(start, input, count)) continue;
            MUST(message.boot_id == boot && input == covered.input);
            MUST(count <= covered.count && count >= covered.count - covered.merged);
            owed[start][input][count] = false;
        }
}

/* A frame of any type with any content; what clears a press or hangs on purpose is left to those who mean it. */
static void any_frame(void) {
    uint8_t type = next(), seq = next(), length = next() % (PAYLOAD_MAX + 1), payload[PAYLOAD_MAX];
    for (uint8_t i = 0; i < length; i++) payload[i] = next();
    if (type == MSG_HOST_ACK && length >= sizeof(struct ack) && !memcmp(payload + 2, &boot, sizeof boot)) return;
    speak(type, seq, payload, length);
}

static void any_bytes(void) {
    uint8_t length = next() & 63;
    while (length--) {
        uint8_t byte = next();
        /* a stray end of frame must not make an acknowledgement of what stands there by chance */
        from_host(received_length >= 9 && received_length <= 12 && byte == 0 ? 1 : byte);
    }
}

static void moment(void) {
    switch (next() % 12) {
        case 0: pass(next()); break;
        case 1: pass((uint16_t)(next() * 8)); break;
        case 2:
        case 3: press(); break;
        case 4:
        case 5: acknowledge_one(); break;
        case 6: any_frame(); break;
        case 7: any_bytes(); break;
        case 8: kept_loop_change((enum input)(next() & 1), LOOP_NORMAL, (enum loop_state)(next() % 6), next(), now); break;
        case 9: kept_lid_change(lid_opened = next() & 1, now); break;
        case 10: start_again(next() & 1); break;
        default: settling = next() & 1; break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    script = data;
    script_left = size;
    memset(cells, 0xFF, sizeof cells);
    memset(owed, 0, sizeof owed);
    memset(made, 0, sizeof made);
    frames_heard = start_number = 0;
    may_forget = settling = lid_opened = false;
    begin();
    while (script_left) {
        moment();
        MUST(kept_all() <= ALL_SLOTS);
        nothing_is_forgotten();
    }
    return 0;
}
