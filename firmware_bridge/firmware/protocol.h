/* SPDX-License-Identifier: Apache-2.0
 *
 * The words on the wire; docs/button.md has the same table, firmware_bridge/protocol.py is the other end.
 *
 *   00 | COBS( type, seq, payload of at most 24 bytes, CRC-16/GENIBUS high byte first ) | 00      38400 baud, 8N1
 *
 * Numbers are little-endian. Bit 7 of the type: the sender repeats the frame until it is acknowledged. Bit 6: it comes
 * from the host; each end drops what bears its own mark, so that two touching wires never answer for the other end.
 *
 * A message only ever grows at its end, and PROTOCOL_VERSION by one with it; a reader takes the bytes that it knows.
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stdint.h>

#define PROTOCOL_VERSION 2
#define PAYLOAD_MAX 24

enum message_type {
    MSG_HEARTBEAT = 0x01,      /* unit: twice a second */
    MSG_ACK = 0x02,            /* unit */
    MSG_IDENTITY = 0x03,       /* unit: after a start and as the answer to HELLO */
    MSG_READINGS = 0x04,       /* unit: ten times a second while METER leases it; seq counts them */
    MSG_HOST_HEARTBEAT = 0x41, /* host: four times a second */
    MSG_HOST_ACK = 0x42,       /* host */
    MSG_HELLO = 0x43,          /* host: who are you? */
    MSG_PRESS = 0x82,          /* unit */
    MSG_RELEASE = 0x83,        /* unit */
    MSG_LOOP = 0x84,           /* unit: the loop changed to or from a fault */
    MSG_HOST_LOST = 0x85,      /* unit: the host was gone, and is back */
    MSG_LID = 0x86,            /* unit: the enclosure was opened or closed */
    MSG_SET_BEACON = 0xC2,     /* host */
    MSG_SELF_TEST = 0xC4,      /* host: hang on purpose, so that the watchdog is proven */
    MSG_METER = 0xC5,          /* host: send READINGS for a while */
};

enum ack_status { ACK_DONE = 0, ACK_UNKNOWN_TYPE = 1, ACK_BAD_PAYLOAD = 2, ACK_NOT_NOW = 3 };

enum loop_state { LOOP_UNKNOWN, LOOP_NORMAL, LOOP_PRESSED, LOOP_CUT, LOOP_SHORT, LOOP_ODD };

enum input { INPUT_OPEN, INPUT_COVERT, INPUT_COUNT };

enum beacon {
    BEACON_OFF,
    BEACON_ALERT,        /* fast flashes, siren, relay */
    BEACON_ALERT_SILENT, /* an alert is out and nothing may show it */
    BEACON_COMING,       /* slow flashes: somebody is on the way */
    BEACON_FAULT,        /* a short blink each second */
    BEACON_LIGHT,        /* fast flashes, no sound: an alert is out */
    BEACON_COUNT
};

enum heartbeat_flag {
    FLAG_HOST = 1,
    FLAG_BUZZER = 2,
    FLAG_RELAY = 4,
    FLAG_LOCAL_ALARM = 8,
    FLAG_LID_OPEN = 16,
    FLAG_JOURNAL = 32, /* kept presses may not survive a power cut */
};

#define PACKED __attribute__((packed))

#define FROM_HOST 0x40
#define UNTIL_ACKNOWLEDGED 0x80

struct PACKED heartbeat {
    uint32_t uptime_ms;
    uint32_t boot_id;
    uint8_t loop;         /* enum loop_state */
    uint8_t flags;        /* enum heartbeat_flag */
    uint16_t millivolts;  /* at the loop */
    uint16_t presses;     /* since this start */
    uint8_t kept_presses; /* how many of those the host has not acknowledged */
    uint8_t beacon;       /* enum beacon under a running lease, else off */
    uint8_t bad_frames;   /* from the host, wraps */
    uint8_t queued;       /* events of every kind that wait for an acknowledgement */
    uint8_t covert_loop;  /* the covert input, as above */
    uint16_t covert_millivolts;
    uint16_t covert_presses;
    uint8_t covert_kept_presses;
};

struct PACKED ack { /* of both ends */
    uint8_t seq;      /* of the frame that is acknowledged */
    uint8_t status;   /* enum ack_status */
    uint32_t boot_id; /* of the unit's present start: an old acknowledgement never clears a new event */
};

struct PACKED identity {
    uint8_t protocol;
    uint8_t major;
    uint8_t minor;
    uint8_t reset_cause; /* MCUSR: 1 power on, 2 reset pin, 4 brown-out, 8 watchdog, 0 unknown */
    uint32_t build;
    uint32_t boot_id;
};

struct PACKED readings {
    uint32_t boot_id;
    uint16_t samples; /* of each input since the last READINGS, or since the lease began: one a millisecond */
    struct PACKED {
        uint16_t now, lowest, highest; /* in millivolts */
    } of[INPUT_COUNT];
};

#define AGE_UNKNOWN 0xFFFFFFFFUL

struct PACKED press {
    uint32_t boot_id; /* present start, for the acknowledgement */
    uint32_t origin;  /* the start in which the press happened */
    uint16_t count;
    uint8_t merged;   /* this frame also stands for so many presses right before count */
    uint32_t age_ms;  /* how long ago, AGE_UNKNOWN after a reset */
    uint8_t input;    /* enum input; origin, input and count name a press for ever */
};

struct PACKED release {
    uint32_t boot_id;
    uint32_t origin;
    uint16_t count;
    uint32_t held_ms;
    uint8_t input;
};

struct PACKED loop_change {
    uint32_t boot_id;
    uint8_t before;
    uint8_t after;
    uint16_t millivolts;
    uint8_t input;
};

struct PACKED host_lost {
    uint32_t boot_id;
    uint32_t away_ms;
};

struct PACKED lid_change {
    uint32_t boot_id;
    uint8_t opened;
};

struct PACKED set_beacon {
    uint8_t beacon;
    uint8_t lease_100ms;
};

struct PACKED meter {
    uint8_t lease_100ms; /* 0 ends it */
};

#define SELF_TEST_KEY 0xDEAD

#endif
