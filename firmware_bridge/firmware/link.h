/* SPDX-License-Identifier: Apache-2.0
 * Messages to and from the host, and whether there is a host at all. */
#ifndef LINK_H
#define LINK_H

#include <stdbool.h>
#include <stdint.h>

/* False when the ring has no room now. */
bool link_send(uint8_t type, uint8_t seq, const void *payload, uint8_t length);

/* Read what has arrived and act on it. */
void link_poll(uint32_t now_ms);

/* Once a millisecond: heartbeat, and the loss of the host. */
void link_tick(uint32_t now_ms);

/* A valid frame within the last two seconds. */
bool link_host_present(void);
/* Two seconds without one, counted from the start at the earliest. */
bool link_host_gone(uint32_t now_ms);

#endif
