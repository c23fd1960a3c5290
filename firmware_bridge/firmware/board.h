/* SPDX-License-Identifier: Apache-2.0
 *
 * The panic button's board: what is wired where, and every number that a technician may want to check.
 *
 * ATmega328P at 16 MHz, 5 V (Arduino Nano or Uno, or a bare chip). The unit has its own 5 V supply, so that it can
 * light and sound when the host is dead or the USB plug is out.
 *
 *   pin   chip   direction   what
 *   A0    PC0    in          supervised loop of the open button
 *   A1    PC1    in          supervised loop of the covert button
 *   A7    ADC7   in          left open: its noise is the random part of the boot id (a chip without A7 has it inside)
 *   D0    PD0    in          serial from the host   (USB bridge)
 *   D1    PD1    out         serial to the host     (USB bridge)
 *   D2    PD2    in          lid switch to GND, closed while the lid is closed (its pull-up is in the chip)
 *   D5    PD5    out         buzzer, active
 *   D6    PD6    out         relay
 *   D9    PB1    out         LED ring
 *   D13   PB5    out         the board's own LED: flashes twice a second while the program runs
 *
 *   Two loops, built alike (A0 drawn, A1 the same). The resistor of 4k7 sits at the far end of the cable.
 *
 *      5 V    5 V
 *       |      |
 *     [1M]   [4k7]                      two wires to the button
 *       |      |                                |
 *   A0 -+-[1k]-+-------------------------->-----+--------+
 *       |                                       |        |
 *     [100n]                                  [4k7]    [2k2]
 *       |                               end of line      |
 *      GND                                      |        \  contact, closes when pressed
 *                                               |        |
 *   GND --------------------------------->------+--------+
 *
 *   so the unit sees at A0, and at A1:
 *
 *     short    0.00 V   both wires touch
 *     pressed  1.21 V   2k2 beside 4k7
 *     normal   2.50 V   4k7 alone
 *     cut      5.00 V   a wire is off
 *
 *   Anything between the bands is "odd": a wet plug, a wrong resistor, a second button. The 1k and the 100n keep
 *   radio and static out of the chip. The 1M is for the 1k's own joint: without it a pin that has lost its 1k keeps its
 *   last volts in the 100n, and the converter's 14 pF, which have just been at the other loop, draw it there within some
 *   10 s: normal for ever, or a press that nobody made. With it the pin rises to 5 V (0.1 s): odd after 0.25 s, then cut.
 *   It shifts normal and pressed by 8 mV, short by 5 mV. No covert button: put its 4k7 across the terminals of A1.
 *
 *   Lid, and no lid switch: a bridge.        LED ring, buzzer, relay, each:
 *
 *                                                        5 V ---+-------+
 *   D2 ------o  o------ GND                                     |       |
 *          lid switch                                         [load]  [diode]   relay only, cathode to 5 V;
 *                                                               |       |       a ring has its own resistors
 *                                                               +-------+
 *                                                               |
 *                                         D5, D6, D9 --[1k]--+--B  NPN (2N2222: up to 0.1 A)
 *                                                            |  |
 *                                                         [10k] |   keeps the load off while the chip is in reset
 *                                                            |  |
 *                                                    GND ----+--+
 *
 *   1k gives the base 4 mA, which saturate a 2N2222 for 0.1 A and no more. A bigger load: a logic-level FET (IRLZ44N) in
 *   its place, source to GND.
 *
 *   Fuses: clock 16 MHz crystal, brown-out at 4.3 V (extended fuse 0xFC). The Uno's own 2.7 V lets the chip run on at a
 *   supply for which 16 MHz is not specified.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/* Supervised loop, in steps of the converter: 1024 steps are the 5 V supply. */
#define STEPS(millivolts) ((uint16_t)((millivolts) * 1024UL / 5000))
#define SHORT_BELOW STEPS(500)
#define PRESSED_FROM STEPS(750)
#define PRESSED_BELOW STEPS(1760)
#define NORMAL_FROM STEPS(2000)
#define NORMAL_BELOW STEPS(3130)
#define CUT_FROM STEPS(4400)

/* Each loop has one sample a millisecond. A press must not be missed; a fault must not be imagined. */
#define DEBOUNCE_MS 20
#define FAULT_MS 200
#define LID_MS 50

/* The link. */
#define HEARTBEAT_EVERY_MS 500
#define HEARTBEAT_YIELDS_MS 40   /* how long a heartbeat waits for a press that is just being debounced */
#define READINGS_SAMPLES 100     /* the meter speaks after so many: ten times a second */
#define READINGS_TAKE_MS 8       /* so long its frame of 25 bytes keeps the line */
#define HOST_GONE_MS 2000        /* no valid frame from the host for this long */
#define REPEAT_FAST_MS 60
#define REPEAT_SLOW_MS 250
#define REPEAT_FAST_TIMES 32

/* Help at the desk when nobody else helps. */
#define UNANSWERED_MS 3000
#define PRESS_LIGHT_MS 10000

/* Light: never more than three flashes in any second (WCAG 2.3.1), whatever changes in between. */
#define FLASHES_MAX 3
#define FLASHES_IN_MS 1000
#define FAST_FLASH_MS 400
#define SLOW_FLASH_MS 2000
#define FAULT_BLINK_EVERY_MS 1000
#define FAULT_BLINK_MS 60

/* Sound: a burst of 3 + 2 pulses, twice, then a rest, in the manner of IEC 60601-1-8 high priority.
 * One bit is 125 ms, the lowest bit first; the whole pattern lasts 4 s. */
#define SIREN_BIT_MS 125
#define SIREN_BURST 0x295UL
#define SIREN_PATTERN (SIREN_BURST | SIREN_BURST << 14)

#define FIRMWARE_MAJOR 2
#define FIRMWARE_MINOR 0

/* Ports and bits of the table above. */
#define LED_PORT PORTB
#define LED_BIT PB1
#define ALIVE_PORT PORTB
#define ALIVE_BIT PB5
#define BUZZER_PORT PORTD
#define BUZZER_BIT PD5
#define RELAY_PORT PORTD
#define RELAY_BIT PD6
#define LID_PORT PORTD
#define LID_PIN PIND
#define LID_BIT PD2

/* Channels of the converter; those of the loops are numbered like enum input. */
#define LOOP_CHANNEL(input) (input)
#define NOISE_CHANNEL 7

#endif
