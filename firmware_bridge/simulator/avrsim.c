/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * avrsim: the panic button's real machine code on a simulated ATmega328P, its serial line on a pseudo-terminal.
 *
 * Copyright (C) 2026 the Stayby authors
 *
 * This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public
 * License as published by the Free Software Foundation, either version 3 of the License, or (at your option) any later
 * version. It is distributed in the hope that it will be useful, but WITHOUT ANY WARRANTY; without even the implied
 * warranty of MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE. See <https://www.gnu.org/licenses/>.
 *
 * It links libsimavr (GPL-3.0-or-later), so it is a program of its own: the rest of Stayby only talks to its pipes, and
 * a shop's unit never runs it. Build: gcc -O2 -o avrsim avrsim.c -lsimavr -lutil -I/usr/include/simavr
 *
 *   avrsim [-l LINK] [-F] [-R] [-e FILE] [-s SEED] [-b BOOT.hex] [FIRMWARE.elf|FIRMWARE.hex]
 *     -l LINK  keep a symbolic link to the pseudo-terminal here (without it there is none: use "send")
 *     -F       virtual time: run only inside "step"
 *     -R       opening the port resets the chip, as on an Arduino
 *     -e FILE  EEPROM content, read at the start and written at the end
 *     -s SEED  of the line noise and the open pin; otherwise random
 *     -b FILE  a boot loader: every reset goes through it (fuse BOOTRST), and it may write the rest of the flash
 *
 * One command a line on stdin, one answer a line on stdout, "ok ..." or "err ...":
 *   loop INPUT normal|pressed|cut|short|<mV>      bounce INPUT STATE MS  (contact chatter for MS, then STATE)
 *   lid open|closed                               garble SHARE           (so many bytes, both ways, get one flipped bit)
 *   wire up|down     plug   unplug   replug       flood hub|unit|both|off  (random bytes at line rate)
 *   power on|off     reset  brownout              freeze on|off          (the chip's clock stops)
 *   send HEX         (bytes to the chip)          stat   quit
 *   step SECONDS     (with -F)                    run SECONDS            (with -F: or until it says frame or out)
 * INPUT is 0 (A0) or 1 (A1, covert). By itself it says:
 *   ready                                         out led|buzzer|relay 0|1 CYCLE
 *   frame CYCLE HEX  (with -F: each run of bytes that the chip sent between two zeros, and when its last bit had left)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <simavr/avr_adc.h>
#include <simavr/avr_eeprom.h>
#include <simavr/avr_extint.h>
#include <simavr/avr_ioport.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_cycle_timers.h>
#include <simavr/sim_elf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define HZ 16000000UL
#define CHUNK (HZ / 1000)
#define INPUTS 2
#define LID_PIN 2
#define MCUSR 0x54 /* data addresses */
#define UCSR0A 0xC0
#define UBRR0L 0xC4
#define UBRR0H 0xC5
#define U2X0 2
#define POWER_ON_RESET 1
#define PIN_RESET 2
#define BROWN_OUT_RESET 4
#define SRAM_START 0x100
#define EEPROM_SIZE 1024
#define INPUT_MAX 4096

static avr_t *avr;
static avr_irq_t *uart, *adc;
static bool virtual_time, reset_on_open, powered = true, wire_up = true, chip_takes = true;
static const char *link_path, *eeprom_path;
static int master = -1, slave = -1, opens = -1;
static double garbled_share;
static unsigned short rng[3];
static unsigned long sent, received, lost;
static unsigned outputs;
static bool lid_open, frozen;
static avr_cycle_count_t run_until;
static bool until_told, told; /* a run ends early when the chip has said something */
static avr_cycle_count_t stood_still; /* how long there was no clock */
static unsigned char input[INPUT_MAX];
static size_t input_from, input_to;
static const char *const output_names[] = {"led", "buzzer", "relay"};

static uint64_t monotonic_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* Time goes on while the chip's does not. */
static avr_cycle_count_t now(void) { return avr->cycle + stood_still; }

static unsigned long long cycle(void) { return (unsigned long long)now(); }

static avr_cycle_count_t byte_cycles(void) {
    unsigned divider = avr->data[UCSR0A] & U2X0 ? 8 : 16;
    return (avr_cycle_count_t)10 * divider * (1u + avr->data[UBRR0L] + 256u * (avr->data[UBRR0H] & 15u));
}

/* ---- the serial line ---- */

static unsigned char through_noise(unsigned char byte) {
    if (garbled_share > 0 && erand48(rng) < garbled_share) byte ^= (unsigned char)(1u << (nrand48(rng) & 7));
    return byte;
}

static struct {
    unsigned char bytes[256];
    size_t length;
    bool ended;
} run;

static avr_cycle_count_t tell_frame(avr_t *a, avr_cycle_count_t when, void *param) {
    (void)a, (void)when, (void)param;
    printf("frame %llu ", cycle());
    for (size_t i = 0; i < run.length; i++) printf("%02x", run.bytes[i]);
    printf("\n");
    run.length = 0;
    run.ended = false;
    told = true;
    return 0;
}

/* simavr tells a byte when its first bit leaves; a frame is told when its last bit has left. */
static void trace(unsigned char byte) {
    if (run.ended) { /* two talk at once */
        avr_cycle_timer_cancel(avr, tell_frame, NULL);
        tell_frame(avr, avr->cycle, NULL);
    }
    if (byte && run.length < sizeof run.bytes) run.bytes[run.length++] = byte;
    if (byte || run.length == 0) return;
    run.ended = true;
    avr_cycle_timer_register(avr, byte_cycles(), tell_frame, NULL);
}

/* simavr counts a parity bit that nobody asked for: 11 bits a byte. */
static void keep_line_rate(void) {
    for (avr_io_t *io = avr->io_port; io; io = io->next)
        if (!strcmp(io->kind, "uart")) ((avr_uart_t *)io)->cycles_per_byte = byte_cycles();
}

static void to_host(unsigned char byte) {
    sent++;
    if (!wire_up) {
        lost++;
        return;
    }
    if (virtual_time) trace(byte);
    if (master >= 0 && write(master, &byte, 1) != 1) lost++;
}

static void chip_sends(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)param;
    keep_line_rate();
    to_host(through_noise((unsigned char)value));
}

static void to_chip(unsigned char byte) {
    received++;
    if (wire_up && powered && !frozen) avr_raise_irq(uart + UART_IRQ_INPUT, byte);
}

static void feed_chip(void) {
    while ((chip_takes || !powered || frozen) && input_from < input_to) to_chip(through_noise(input[input_from++]));
    if (input_from == input_to) input_from = input_to = 0;
}

static void chip_takes_on(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)value, (void)param;
    chip_takes = true;
    feed_chip();
}

static void chip_takes_off(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)value, (void)param;
    chip_takes = false;
}

static void read_pty(void) {
    if (master < 0 || input_to == sizeof input) return;
    ssize_t got = read(master, input + input_to, sizeof input - input_to);
    if (got > 0) input_to += (size_t)got;
}

/* ---- line noise at its worst: random bytes, one after the other ---- */

static bool flood_hub, flood_unit;

static avr_cycle_count_t flood_on(avr_t *a, avr_cycle_count_t when, void *param) {
    (void)a, (void)param;
    if (flood_hub) to_host((unsigned char)nrand48(rng));
    if (flood_unit && chip_takes) to_chip((unsigned char)nrand48(rng));
    return flood_hub || flood_unit ? when + byte_cycles() : 0;
}

static bool flood(const char *where) {
    bool both = !strcmp(where, "both");
    bool hub = both || !strcmp(where, "hub"), unit = both || !strcmp(where, "unit");
    if (!hub && !unit && strcmp(where, "off")) return false;
    flood_hub = hub, flood_unit = unit;
    if (hub || unit) avr_cycle_timer_register(avr, byte_cycles(), flood_on, NULL);
    return true;
}

/* ---- the cable ---- */

static void plug(void) {
    char name[64];
    struct termios raw;
    if (!link_path || master >= 0) return;
    if (openpty(&master, &slave, name, NULL, NULL)) {
        fprintf(stderr, "avrsim: no pseudo-terminal: %s\n", strerror(errno));
        exit(1);
    }
    tcgetattr(slave, &raw);
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    fcntl(master, F_SETFL, O_NONBLOCK);
    unlink(link_path);
    if (symlink(name, link_path)) {
        fprintf(stderr, "avrsim: cannot make the link %s: %s\n", link_path, strerror(errno));
        exit(1);
    }
    if (reset_on_open && opens >= 0) inotify_add_watch(opens, name, IN_OPEN);
}

static void unplug(void) {
    if (master < 0) return;
    unlink(link_path);
    close(slave);
    close(master);
    master = slave = -1;
    input_from = input_to = 0;
}

/* Out and in again, as another device: the old one's number is still taken while the new one is made. */
static void replug(void) {
    int old_master = master < 0 ? -1 : dup(master), old_slave = slave < 0 ? -1 : dup(slave);
    unplug();
    plug();
    if (old_slave >= 0) close(old_slave);
    if (old_master >= 0) close(old_master);
}

/* ---- the chip's pins ---- */

static void pin_changes(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq;
    unsigned bit = (unsigned)(uintptr_t)param;
    outputs = value ? outputs | 1u << bit : outputs & ~(1u << bit);
    printf("out %s %u %llu\n", output_names[bit], value, cycle());
    told = true;
}

static void pins_dark(void) {
    for (unsigned bit = 0; bit < 3; bit++)
        if (outputs >> bit & 1) pin_changes(NULL, 0, (void *)(uintptr_t)bit);
}

static struct loop {
    unsigned millivolts;
    unsigned from, to; /* while the contact chatters */
    avr_cycle_count_t chatters_until;
} loops[INPUTS] = {{.millivolts = 2500}, {.millivolts = 2500}};

static void set_loop(struct loop *loop, unsigned mv) {
    loop->millivolts = mv;
    avr_raise_irq(adc + ADC_IRQ_ADC0 + (loop - loops), mv);
}

/* PD2 against GND: whatever the chip writes to its port, its pull-up loses. The pin could interrupt (INT0), which nobody
 * uses: without the first line simavr would look at it in every cycle. */
static void set_lid(bool open) {
    avr_extint_set_strict_lvl_trig(avr, 0, 0);
    avr_ioport_external_t outside = {.name = 'D', .mask = 1u << LID_PIN, .value = open ? 1u << LID_PIN : 0};
    avr_ioctl(avr, AVR_IOCTL_IOPORT_SET_EXTERNAL('D'), &outside);
    avr_irq_t *pin = avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('D'), LID_PIN);
    avr_raise_irq(pin, !open); /* after a reset the pin register is empty, and simavr drops what it thinks is no change */
    avr_raise_irq(pin, lid_open = open);
}

/* The open pin is never quiet. */
static void converter_starts(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)value, (void)param;
    avr_raise_irq(adc + ADC_IRQ_ADC7, (uint32_t)(nrand48(rng) % 1100));
}

static bool loop_of(const char *word, unsigned *mv) {
    char *end;
    if (!strcmp(word, "normal")) *mv = 2500;
    else if (!strcmp(word, "pressed")) *mv = 1209;
    else if (!strcmp(word, "cut")) *mv = 4990;
    else if (!strcmp(word, "short")) *mv = 10;
    else {
        unsigned long number = strtoul(word, &end, 10);
        *mv = (unsigned)number;
        return end != word && *end == 0 && number <= 5000;
    }
    return true;
}

static avr_cycle_count_t chatter_on(avr_t *a, avr_cycle_count_t when, void *param) {
    (void)a;
    struct loop *loop = param;
    if (when >= loop->chatters_until) {
        loop->chatters_until = 0;
        set_loop(loop, loop->to);
        return 0;
    }
    set_loop(loop, nrand48(rng) & 1 ? loop->from : loop->to);
    return when + (avr_cycle_count_t)(100 + nrand48(rng) % 900) * (HZ / 1000000);
}

/* Let it come to rest, before whatever comes next. */
static void end_chatter(struct loop *loop) {
    if (loop->chatters_until == 0) return;
    avr_cycle_timer_cancel(avr, chatter_on, loop);
    loop->chatters_until = 0;
    set_loop(loop, loop->to);
}

static void start_chatter(struct loop *loop, unsigned mv, double ms) {
    end_chatter(loop);
    loop->from = loop->millivolts;
    loop->to = mv;
    loop->chatters_until = avr->cycle + (avr_cycle_count_t)(ms * HZ / 1000);
    avr_cycle_timer_register(avr, 1, chatter_on, loop);
}

/* ---- reset, power, EEPROM ---- */

/* Of every reset, the watchdog's too: the world outside goes on as it was. */
static void (*core_reset)(avr_t *);

static void chip_resets(avr_t *a) {
    if (core_reset) core_reset(a);
    run.length = 0;
    run.ended = false;
    for (struct loop *loop = loops; loop < loops + INPUTS; loop++)
        if (loop->chatters_until) avr_cycle_timer_register(avr, 1, chatter_on, loop);
    if (flood_hub || flood_unit) avr_cycle_timer_register(avr, byte_cycles(), flood_on, NULL);
}

static void reset(unsigned char cause) {
    avr_reset(avr);
    avr->data[MCUSR] = cause;
    chip_takes = true;
    for (struct loop *loop = loops; loop < loops + INPUTS; loop++) set_loop(loop, loop->millivolts);
    set_lid(lid_open);
}

static void power(bool on) {
    if (on == powered) return;
    powered = on;
    for (struct loop *loop = loops; loop < loops + INPUTS; loop++) end_chatter(loop);
    if (on) {
        for (unsigned i = SRAM_START; i <= avr->ramend; i++) avr->data[i] = (uint8_t)nrand48(rng);
        reset(POWER_ON_RESET);
        plug();
    } else {
        unplug();
        pins_dark();
    }
}

static void load_eeprom(void) {
    unsigned char content[EEPROM_SIZE];
    avr_eeprom_desc_t all = {.ee = content, .offset = 0, .size = sizeof content};
    FILE *file = eeprom_path ? fopen(eeprom_path, "rb") : NULL;
    if (!file) return;
    if (fread(content, 1, sizeof content, file) == sizeof content) avr_ioctl(avr, AVR_IOCTL_EEPROM_SET, &all);
    fclose(file);
}

static void save_eeprom(void) {
    unsigned char content[EEPROM_SIZE];
    avr_eeprom_desc_t all = {.ee = content, .offset = 0, .size = sizeof content};
    FILE *file = eeprom_path ? fopen(eeprom_path, "wb") : NULL;
    if (!file) return;
    avr_ioctl(avr, AVR_IOCTL_EEPROM_GET, &all);
    if (fwrite(content, 1, sizeof content, file) != sizeof content) perror("avrsim: EEPROM file");
    fclose(file);
}

static void stop(int status) {
    save_eeprom();
    unplug();
    fflush(stdout);
    exit(status);
}

/* ---- commands ---- */

static bool send_hex(const char *hex) {
    memmove(input, input + input_from, input_to - input_from);
    input_to -= input_from;
    input_from = 0;
    for (; hex[0] && hex[1]; hex += 2) {
        unsigned byte;
        if (input_to == sizeof input || sscanf(hex, "%2x", &byte) != 1) return false;
        input[input_to++] = (unsigned char)byte;
    }
    return *hex == 0;
}

static bool on_or_off(const char *word, const char *on, const char *off, bool *value) {
    *value = !strcmp(word, on);
    return *value || !strcmp(word, off);
}

static bool on_the_loop(const char *verb, const char *input, const char *state, const char *ms) {
    unsigned mv;
    if ((strcmp(input, "0") && strcmp(input, "1")) || !loop_of(state, &mv)) return false;
    struct loop *loop = &loops[*input - '0'];
    end_chatter(loop);
    if (!strcmp(verb, "bounce") && powered && !frozen) start_chatter(loop, mv, atof(ms));
    else set_loop(loop, mv);
    return true;
}

static void freeze(bool on) {
    for (struct loop *loop = loops; loop < loops + INPUTS; loop++) end_chatter(loop);
    frozen = on;
}

static bool on_the_cable(const char *verb, const char *what) {
    bool yes;
    if (!strcmp(verb, "wire") && on_or_off(what, "up", "down", &yes)) wire_up = yes;
    else if (!strcmp(verb, "garble")) garbled_share = atof(what);
    else if (!strcmp(verb, "plug")) plug();
    else if (!strcmp(verb, "unplug")) unplug();
    else if (!strcmp(verb, "replug")) replug();
    else if (!strcmp(verb, "send") && send_hex(what)) feed_chip();
    else return !strcmp(verb, "flood") && flood(what);
    return true;
}

static bool on_the_unit(const char *verb, const char *what) {
    bool yes;
    if (!strcmp(verb, "lid") && on_or_off(what, "open", "closed", &yes)) set_lid(yes);
    else if (!strcmp(verb, "power") && on_or_off(what, "on", "off", &yes)) power(yes);
    else if (!strcmp(verb, "freeze") && on_or_off(what, "on", "off", &yes)) freeze(yes);
    else if (!strcmp(verb, "reset")) reset(PIN_RESET);
    else if (!strcmp(verb, "brownout")) reset(BROWN_OUT_RESET);
    else return false;
    return true;
}

static bool runs(const char *verb, const char *what) {
    if (!virtual_time || (strcmp(verb, "step") && strcmp(verb, "run"))) return false;
    run_until = now() + (avr_cycle_count_t)(atof(what) * HZ);
    until_told = !strcmp(verb, "run");
    told = false;
    return true;
}

static bool obey(const char *verb, const char *what, const char *more, const char *most) {
    if (!strcmp(verb, "loop") || !strcmp(verb, "bounce")) return on_the_loop(verb, what, more, most);
    if (!strcmp(verb, "stat") || !strcmp(verb, "quit")) return true;
    return on_the_cable(verb, what) || on_the_unit(verb, what) || runs(verb, what);
}

static void say_how_it_is(const char *verb) {
    printf("ok %s cycle=%llu us=%llu sent=%lu received=%lu lost=%lu loop_mv=%u covert_mv=%u lid=%d", verb, cycle(),
           (unsigned long long)monotonic_us(), sent, received, lost, loops[0].millivolts, loops[1].millivolts, lid_open);
    printf(" led=%u buzzer=%u relay=%u plugged=%d powered=%d frozen=%d wire=%d garbled=%g flood=%d\n", outputs & 1,
           outputs >> 1 & 1, outputs >> 2 & 1, master >= 0, powered, frozen, wire_up, garbled_share, flood_hub | flood_unit << 1);
}

static void answer(const char *line) {
    char verb[16] = "", what[2100] = "", more[32] = "", most[32] = "";
    if (sscanf(line, "%15s %2099s %31s %31s", verb, what, more, most) < 1) return;
    if (!obey(verb, what, more, most)) {
        printf("err cannot do: %s\n", line);
        return;
    }
    if (run_until) return; /* answered when it has run */
    say_how_it_is(verb);
    if (!strcmp(verb, "quit")) stop(0);
}

static char commands[4096];
static size_t commands_length;
static bool commands_ended; /* whoever started us is gone */

static void read_commands(void) {
    ssize_t got = read(0, commands + commands_length, sizeof commands - 1 - commands_length);
    if (got > 0) commands_length += (size_t)got;
    else if (got == 0 || (errno != EAGAIN && errno != EINTR)) commands_ended = true;
    commands[commands_length] = 0;
}

/* A step under way: what stands behind it waits. */
static void obey_commands(void) {
    char *end;
    while (!run_until && (end = strchr(commands, '\n'))) {
        *end = 0;
        answer(commands);
        commands_length -= (size_t)(end + 1 - commands);
        memmove(commands, end + 1, commands_length + 1);
    }
    if (run_until) return;
    if (commands_ended) stop(0);
    if (commands_length == sizeof commands - 1) commands_length = 0, commands[0] = 0;
}

/* ---- time ---- */

static void run_chip(avr_cycle_count_t goal) {
    if (!powered || frozen) stood_still += goal - now();
    while (now() < goal && !(until_told && told)) {
        int state = avr_run(avr);
        if (state == cpu_Done || state == cpu_Crashed) {
            fprintf(stderr, "avrsim: the firmware stopped (state %d)\n", state);
            stop(3);
        }
    }
}

static void do_not_sleep(avr_t *a, avr_cycle_count_t howlong) { (void)a, (void)howlong; }

static void run_virtual(void) {
    if (!run_until) return;
    while (now() < run_until && !(until_told && told)) {
        avr_cycle_count_t goal = now() + CHUNK;
        run_chip(goal < run_until ? goal : run_until);
        read_pty();
        feed_chip();
    }
    printf("ok step cycle=%llu\n", cycle());
    run_until = 0;
    until_told = false;
}

/* Follow the wall clock; after a pause of the machine, let the lost time go. */
static void run_real(void) {
    static uint64_t start_us;
    static avr_cycle_count_t start_cycle;
    uint64_t passed_us = monotonic_us() - start_us;
    avr_cycle_count_t goal = start_cycle + passed_us * (HZ / 1000000);
    if (start_us == 0 || goal > now() + HZ / 4) {
        start_us = monotonic_us();
        start_cycle = goal = now();
    }
    while (now() < goal) {
        avr_cycle_count_t next = now() + CHUNK;
        run_chip(next < goal ? next : goal);
        feed_chip();
    }
}

static void wait_for_something(void) {
    struct pollfd on[] = {{commands_ended ? -1 : 0, POLLIN, 0}, {input_to < sizeof input ? master : -1, POLLIN, 0}, {opens, POLLIN, 0}};
    fflush(stdout);
    poll(on, 3, run_until || strchr(commands, '\n') ? 0 : virtual_time ? 50 : 1);
    if (on[2].revents & POLLIN) {
        char events[512];
        if (read(opens, events, sizeof events) > 0 && powered) reset(PIN_RESET);
    }
    if (on[1].revents & POLLIN) read_pty();
    if (on[0].revents) read_commands();
    obey_commands();
}

static void wire_chip(void) {
    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags); /* no echo to stdout, no sleeping */
    uart = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), 0);
    avr_irq_register_notify(uart + UART_IRQ_OUTPUT, chip_sends, NULL);
    avr_irq_register_notify(uart + UART_IRQ_OUT_XON, chip_takes_on, NULL);
    avr_irq_register_notify(uart + UART_IRQ_OUT_XOFF, chip_takes_off, NULL);
    adc = avr_io_getirq(avr, AVR_IOCTL_ADC_GETIRQ, 0);
    avr_irq_register_notify(adc + ADC_IRQ_OUT_TRIGGER, converter_starts, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('B'), 1), pin_changes, (void *)(uintptr_t)0);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('D'), 5), pin_changes, (void *)(uintptr_t)1);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('D'), 6), pin_changes, (void *)(uintptr_t)2);
}

static void stop_at(const char *path, const char *what) {
    fprintf(stderr, "avrsim: %s %s\n", path, what);
    exit(1);
}

/* One line of Intel hex: `:` LENGTH ADDRESS(2) TYPE DATA... SUM, two digits each; the whole adds up to 0. */
static int hex_line(const char *line, unsigned char *bytes) {
    unsigned byte, sum = 0;
    int count = 0;
    if (*line++ != ':') return -1;
    for (; count < 260 && sscanf(line, "%2x", &byte) == 1; line += 2) sum += bytes[count++] = (unsigned char)byte;
    return count >= 5 && count == bytes[0] + 5 && !(sum & 255) ? count : -1;
}

/* simavr's own reader knows no start address (type 3), which boot loaders have. Returns the lowest address. */
static avr_flashaddr_t load_hex(const char *path) {
    char line[600];
    unsigned char bytes[260];
    avr_flashaddr_t lowest = avr->flashend + 1;
    FILE *file = fopen(path, "r");
    if (!file) stop_at(path, strerror(errno));
    while (fgets(line, sizeof line, file)) {
        if (strspn(line, " \r\n") == strlen(line)) continue;
        int count = hex_line(line, bytes);
        if (count < 0) stop_at(path, "is no Intel hex file");
        if (bytes[3] != 0) continue; /* an end or a start address */
        avr_flashaddr_t at = bytes[1] * 256u + bytes[2];
        if (at + bytes[0] > avr->flashend + 1) stop_at(path, "does not fit into this chip");
        memcpy(avr->flash + at, bytes + 4, bytes[0]);
        if (at < lowest) lowest = at;
    }
    fclose(file);
    if (lowest > avr->flashend) stop_at(path, "holds no program");
    return lowest;
}

static void load_elf(const char *path) {
    elf_firmware_t firmware;
    memset(&firmware, 0, sizeof firmware);
    if (elf_read_firmware(path, &firmware)) stop_at(path, "is no AVR program");
    firmware.frequency = HZ;
    avr_load_firmware(avr, &firmware);
}

static void load_flash(const char *program, const char *boot) {
    size_t length = program ? strlen(program) : 0;
    memset(avr->flash, 0xFF, avr->flashend + 1);
    if (length > 4 && !strcmp(program + length - 4, ".hex")) load_hex(program);
    else if (program) load_elf(program);
    if (boot) avr->pc = avr->reset_pc = load_hex(boot);
    avr->codeend = avr->flashend;
}

static void make_chip(const char *program, const char *boot) {
    avr = avr_make_mcu_by_name("atmega328p");
    if (!avr) stop_at("libsimavr", "has no atmega328p");
    avr_init(avr);
    core_reset = avr->reset;
    avr->reset = chip_resets;
    load_flash(program, boot);
    avr->frequency = HZ;
    avr->vcc = avr->avcc = avr->aref = 5000;
    avr->sleep = do_not_sleep;
    avr->log = LOG_ERROR;
    avr->run_cycle_limit = CHUNK / 5;
    load_eeprom();
    wire_chip();
    for (unsigned i = SRAM_START; i <= avr->ramend; i++)
        if (avr->data[i] == 0) avr->data[i] = (uint8_t)nrand48(rng);
    avr->data[MCUSR] = POWER_ON_RESET;
    for (struct loop *loop = loops; loop < loops + INPUTS; loop++) set_loop(loop, loop->millivolts);
    set_lid(false);
}

static void seed(const char *word) {
    unsigned long long number = 0;
    if (word) number = strtoull(word, NULL, 10);
    else if (getentropy(&number, sizeof number)) number = monotonic_us();
    for (int i = 0; i < 3; i++) rng[i] = (unsigned short)(number >> 16 * i);
}

int main(int argc, char **argv) {
    const char *seed_word = NULL, *boot = NULL;
    for (int option; (option = getopt(argc, argv, "l:e:s:b:FR")) > 0;) switch (option) {
            case 'l': link_path = optarg; break;
            case 'e': eeprom_path = optarg; break;
            case 's': seed_word = optarg; break;
            case 'b': boot = optarg; break;
            case 'F': virtual_time = true; break;
            case 'R': reset_on_open = true; break;
            default: return 2;
        }
    if (optind >= argc && !boot) {
        fprintf(stderr, "usage: avrsim [-l LINK] [-F] [-R] [-e FILE] [-s SEED] [-b BOOT.hex] [FIRMWARE]\n");
        return 2;
    }
    seed(seed_word);
    make_chip(argv[optind], boot); /* argv ends with NULL */
    if (reset_on_open) opens = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    fcntl(0, F_SETFL, O_NONBLOCK);
    plug();
    printf("ready\n");
    for (;;) {
        wait_for_something();
        if (virtual_time) run_virtual();
        else run_real();
    }
}
