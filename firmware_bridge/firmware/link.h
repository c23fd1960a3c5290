/* SPDX-License-Identifier: Apache-2.0
 * Messages to and from the host, and whether there is a host at all. */
#ifndef LINK_H
#define LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "frame.h"

/* Who may speak when the line is busy: kept events leave room for a heartbeat. Answers wait for 12 bytes more, which take
 * 3 ms to leave: by then a kept event has had its turn, so a host that asks without end never keeps a press from being told. */
#define LINK_ROOM_FOR_KEPT (2 * FRAME_SENT_MAX)
#define LINK_ROOM_FOR_ANSWER (LINK_ROOM_FOR_KEPT + 12)

/* False when the ring has no room now. */
bool link_send(uint8_t type, uint8_t seq, const void *payload, uint8_t length);

/* Read what has arrived, up to the end of one frame, and act on it: whatever comes, the millisecond gets its turn. */
void link_poll(uint32_t now_ms);

/* Once a millisecond: heartbeat, and the loss of the host. */
void link_tick(uint32_t now_ms);

/* Whether a heartbeat has its turn at `by_ms` or before. */
bool link_heartbeat_is_due(uint32_t by_ms);

/* The host wants the watchdog proven, and it was allowed; it has its acknowledgement. */
bool link_self_test_wanted(void);
/* Once a millisecond: whether no press could be missed or lost by it now; else it is refused. */
void link_allow_self_test(bool allowed);

/* A valid frame within the last two seconds. */
bool link_host_present(void);
/* Two seconds without one, counted from the start at the earliest. */
bool link_host_gone(uint32_t now_ms);

#endif
