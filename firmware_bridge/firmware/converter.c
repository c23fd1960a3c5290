/* SPDX-License-Identifier: Apache-2.0
 * The analogue converter: 16 MHz / 128 = 125 kHz, 13 clocks a sample, 104 us.
 *
 * The channel is chosen while no conversion runs, so the very next sample is of the new channel (datasheet 24.5). The
 * sampling capacitor of 14 pF is filled from the 100 nF at the pin: what the other channel left on it shifts nothing. */
#include "converter.h"

#include <avr/interrupt.h>
#include <avr/io.h>

#include "board.h"
#include "crc.h"

#define NOISE_SAMPLES 48
#define ON (_BV(ADEN) | _BV(ADPS2) | _BV(ADPS1) | _BV(ADPS0))
#define AGAINST_SUPPLY _BV(REFS0) /* like the loops themselves: the ratio needs no exact 5 V */
#define AGAINST_1V1 (_BV(REFS1) | _BV(REFS0))

static volatile uint16_t samples[INPUT_COUNT];
static volatile uint8_t next = INPUT_COUNT; /* INPUT_COUNT: all are there */

static void sample(uint8_t input) {
    ADMUX = (uint8_t)(AGAINST_SUPPLY | LOOP_CHANNEL(input));
    ADCSRA = ON | _BV(ADIE) | _BV(ADSC);
}

ISR(ADC_vect) {
    samples[next] = ADC;
    if (++next < INPUT_COUNT) sample(next);
}

void converter_start(void) {
    DIDR0 = _BV(LOOP_CHANNEL(INPUT_OPEN)) | _BV(LOOP_CHANNEL(INPUT_COVERT));
    ADCSRA = ON;
}

uint16_t converter_noise(uint16_t pool) {
    ADMUX = AGAINST_1V1 | NOISE_CHANNEL; /* the small reference shows the most noise */
    for (uint8_t i = 0; i < NOISE_SAMPLES; i++) {
        ADCSRA |= _BV(ADSC);
        while (ADCSRA & _BV(ADSC)) {}
        uint16_t both = (uint16_t)(ADC << 6) ^ TCNT0; /* and how long the conversion took against timer 0 */
        pool = crc16(pool, &both, sizeof both);
    }
    return pool;
}

void converter_begin(void) {
    next = 0;
    sample(0);
}

bool converter_take(uint16_t steps[INPUT_COUNT]) {
    if (next < INPUT_COUNT) return false;
    for (uint8_t input = 0; input < INPUT_COUNT; input++) steps[input] = samples[input];
    return true;
}
