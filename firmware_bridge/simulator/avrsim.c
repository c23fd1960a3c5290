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
 *   avrsim [-l LINK] [-F] [-R] [-e FILE] [-s SEED] firmware.elf
 *     -l LINK  keep a symbolic link to the pseudo-terminal here (without it there is none: use "send")
 *     -F       virtual time: run only inside "step"
 *     -R       opening the port resets the chip, as on an Arduino
 *     -e FILE  EEPROM content, read at the start and written at the end
 *     -s SEED  of the line noise and the open pin; otherwise random
 *
 * One command a line on stdin, one answer a line on stdout, "ok ..." or "err ...":
 *   loop normal|pressed|cut|short|<mV>   bounce STATE MS   (contact chatter for MS, then STATE)
 *   wire up|down     plug   unplug       garble SHARE      (so many bytes, both ways, get one flipped bit)
 *   power on|off     reset               send HEX          (bytes to the chip)
 *   step SECONDS     (with -F)           stat              quit
 * By itself it says:
 *   ready                                out led|buzzer|relay 0|1 CYCLE
 *   frame CYCLE HEX  (with -F: each run of bytes that the chip sent between two zeros, and when the last one left)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <simavr/avr_adc.h>
#include <simavr/avr_eeprom.h>
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
#define MCUSR 0x54 /* data address */
#define POWER_ON_RESET 1
#define PIN_RESET 2
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
static unsigned millivolts = 2500;
static avr_cycle_count_t run_until;
static unsigned char input[INPUT_MAX];
static size_t input_from, input_to;
static const char *const output_names[] = {"led", "buzzer", "relay"};

static uint64_t monotonic_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static unsigned long long cycle(void) { return (unsigned long long)avr->cycle; }

/* ---- the serial line ---- */

static unsigned char through_noise(unsigned char byte) {
    if (garbled_share > 0 && erand48(rng) < garbled_share) byte ^= (unsigned char)(1u << (nrand48(rng) & 7));
    return byte;
}

static void trace(unsigned char byte) {
    static unsigned char run[256];
    static size_t length;
    if (byte && length < sizeof run) run[length++] = byte;
    if (byte || length == 0) return;
    printf("frame %llu ", cycle());
    for (size_t i = 0; i < length; i++) printf("%02x", run[i]);
    printf("\n");
    length = 0;
}

static void chip_sends(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)param;
    unsigned char byte = through_noise((unsigned char)value);
    sent++;
    if (!wire_up) {
        lost++;
        return;
    }
    if (virtual_time) trace(byte);
    if (master >= 0 && write(master, &byte, 1) != 1) lost++;
}

static void chip_takes_on(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)value, (void)param;
    chip_takes = true;
}

static void chip_takes_off(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)value, (void)param;
    chip_takes = false;
}

static void feed_chip(void) {
    while (chip_takes && input_from < input_to) {
        unsigned char byte = input[input_from++];
        received++;
        if (wire_up && powered) avr_raise_irq(uart + UART_IRQ_INPUT, through_noise(byte));
    }
    if (input_from == input_to) input_from = input_to = 0;
}

static void read_pty(void) {
    if (master < 0 || input_to == sizeof input) return;
    ssize_t got = read(master, input + input_to, sizeof input - input_to);
    if (got > 0) input_to += (size_t)got;
}

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

/* ---- the chip's pins ---- */

static void pin_changes(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq;
    unsigned bit = (unsigned)(uintptr_t)param;
    outputs = value ? outputs | 1u << bit : outputs & ~(1u << bit);
    printf("out %s %u %llu\n", output_names[bit], value, cycle());
}

static void pins_dark(void) {
    for (unsigned bit = 0; bit < 3; bit++)
        if (outputs >> bit & 1) pin_changes(NULL, 0, (void *)(uintptr_t)bit);
}

static void set_loop(unsigned mv) { avr_raise_irq(adc + ADC_IRQ_ADC0, millivolts = mv); }

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

static struct {
    unsigned from, to;
    avr_cycle_count_t until;
} chatter;

static avr_cycle_count_t chatter_on(avr_t *a, avr_cycle_count_t when, void *param) {
    (void)a, (void)param;
    if (when >= chatter.until) {
        set_loop(chatter.to);
        return 0;
    }
    set_loop(nrand48(rng) & 1 ? chatter.from : chatter.to);
    return when + (avr_cycle_count_t)(100 + nrand48(rng) % 900) * (HZ / 1000000);
}

/* Let it come to rest, before whatever comes next. */
static void end_chatter(void) {
    if (avr_cycle_timer_status(avr, chatter_on, NULL) == 0) return;
    avr_cycle_timer_cancel(avr, chatter_on, NULL);
    set_loop(chatter.to);
}

static void start_chatter(unsigned mv, double ms) {
    end_chatter();
    chatter.from = millivolts;
    chatter.to = mv;
    chatter.until = avr->cycle + (avr_cycle_count_t)(ms * HZ / 1000);
    avr_cycle_timer_register(avr, 1, chatter_on, NULL);
}

/* ---- reset, power, EEPROM ---- */

static void reset(unsigned char cause) {
    end_chatter();
    avr_reset(avr);
    avr->data[MCUSR] = cause;
    chip_takes = true;
    set_loop(millivolts);
}

static void power(bool on) {
    if (on == powered) return;
    powered = on;
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

static bool obey(const char *verb, const char *what, const char *more) {
    unsigned mv;
    bool yes;
    if (!strcmp(verb, "loop") && loop_of(what, &mv)) end_chatter(), set_loop(mv);
    else if (!strcmp(verb, "bounce") && loop_of(what, &mv)) start_chatter(mv, atof(more));
    else if (!strcmp(verb, "wire") && on_or_off(what, "up", "down", &yes)) wire_up = yes;
    else if (!strcmp(verb, "power") && on_or_off(what, "on", "off", &yes)) power(yes);
    else if (!strcmp(verb, "garble")) garbled_share = atof(what);
    else if (!strcmp(verb, "plug")) plug();
    else if (!strcmp(verb, "unplug")) unplug();
    else if (!strcmp(verb, "reset")) reset(PIN_RESET);
    else if (!strcmp(verb, "send") && send_hex(what)) feed_chip();
    else if (!strcmp(verb, "step") && virtual_time) run_until = avr->cycle + (avr_cycle_count_t)(atof(what) * HZ);
    else return !strcmp(verb, "stat") || !strcmp(verb, "quit");
    return true;
}

static void answer(const char *line) {
    char verb[16] = "", what[2100] = "", more[32] = "";
    if (sscanf(line, "%15s %2099s %31s", verb, what, more) < 1) return;
    if (!obey(verb, what, more)) {
        printf("err cannot do: %s\n", line);
        return;
    }
    if (!strcmp(verb, "step")) return; /* answered when it has run */
    printf("ok %s cycle=%llu us=%llu sent=%lu received=%lu lost=%lu loop_mv=%u led=%u buzzer=%u relay=%u plugged=%d powered=%d\n",
           verb, cycle(), (unsigned long long)monotonic_us(), sent, received, lost, millivolts, outputs & 1, outputs >> 1 & 1,
           outputs >> 2 & 1, master >= 0, powered);
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
    if (!powered) {
        avr->cycle = goal;
        return;
    }
    while (avr->cycle < goal) {
        int state = avr_run(avr);
        if (state == cpu_Done || state == cpu_Crashed) {
            fprintf(stderr, "avrsim: the firmware stopped (state %d)\n", state);
            stop(3);
        }
    }
}

static void do_not_sleep(avr_t *a, avr_cycle_count_t howlong) { (void)a, (void)howlong; }

static void run_virtual(void) {
    while (run_until && avr->cycle < run_until) {
        avr_cycle_count_t goal = avr->cycle + CHUNK;
        run_chip(goal < run_until ? goal : run_until);
        read_pty();
        feed_chip();
    }
    if (run_until) printf("ok step cycle=%llu\n", cycle());
    run_until = 0;
}

/* Follow the wall clock; after a pause of the machine, let the lost time go. */
static void run_real(void) {
    static uint64_t start_us;
    static avr_cycle_count_t start_cycle;
    uint64_t passed_us = monotonic_us() - start_us;
    avr_cycle_count_t goal = start_cycle + passed_us * (HZ / 1000000);
    if (start_us == 0 || goal > avr->cycle + HZ / 4) {
        start_us = monotonic_us();
        start_cycle = goal = avr->cycle;
    }
    while (avr->cycle < goal) {
        avr_cycle_count_t next = avr->cycle + CHUNK;
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

static void make_chip(const char *elf) {
    elf_firmware_t firmware;
    memset(&firmware, 0, sizeof firmware);
    if (elf_read_firmware(elf, &firmware)) {
        fprintf(stderr, "avrsim: %s is no AVR program\n", elf);
        exit(1);
    }
    avr = avr_make_mcu_by_name("atmega328p");
    if (!avr) {
        fprintf(stderr, "avrsim: this libsimavr has no atmega328p\n");
        exit(1);
    }
    avr_init(avr);
    firmware.frequency = HZ;
    avr_load_firmware(avr, &firmware);
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
    set_loop(millivolts);
}

static void seed(const char *word) {
    unsigned long long number = 0;
    if (word) number = strtoull(word, NULL, 10);
    else if (getentropy(&number, sizeof number)) number = monotonic_us();
    for (int i = 0; i < 3; i++) rng[i] = (unsigned short)(number >> 16 * i);
}

int main(int argc, char **argv) {
    const char *seed_word = NULL;
    for (int option; (option = getopt(argc, argv, "l:e:s:FR")) > 0;) switch (option) {
            case 'l': link_path = optarg; break;
            case 'e': eeprom_path = optarg; break;
            case 's': seed_word = optarg; break;
            case 'F': virtual_time = true; break;
            case 'R': reset_on_open = true; break;
            default: return 2;
        }
    if (optind >= argc) {
        fprintf(stderr, "usage: avrsim [-l LINK] [-F] [-R] [-e FILE] [-s SEED] firmware.elf\n");
        return 2;
    }
    seed(seed_word);
    make_chip(argv[optind]);
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
