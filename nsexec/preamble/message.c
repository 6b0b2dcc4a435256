/*
 * Messages between the preamble and bailey: one packet each, descriptors along with them.
 */
#define _GNU_SOURCE
#include "preamble.h"

#include <errno.h>
#include <sys/socket.h>

union control {
	struct cmsghdr header; /* aligns */
	char room[CMSG_SPACE(sizeof(int) * WIRE_MESSAGE_FDS)];
};

/* A failure to send is no error of its own: bailey is gone, and the next wait finds that out. */
void send_message(struct preamble *p, uint32_t type, int32_t value, const char *data, uint32_t len, int fd)
{
	struct wire_message m = {.kind = type, .index = p->op ? p->op->index : 0, .value = value, .len = len};
	struct iovec iov[2] = {{&m, sizeof m}, {(void *)data, len}};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = len ? 2 : 1};
	union control c;

	if (fd >= 0) {
		c.header = (struct cmsghdr){
		    .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		*(int *)(void *)CMSG_DATA(&c.header) = fd;
		h.msg_control = &c;
		h.msg_controllen = CMSG_SPACE(sizeof fd);
	}
	while (sys_3(sendmsg, p->socket, &h, MSG_NOSIGNAL) == -EINTR)
		;
}

/*
 * Receives one packet and up to WIRE_MESSAGE_FDS descriptors (close-on-exec). DESCRIPTORS are put into
 * their slots here. Returns the message's type, 0 at the end of the connection, or a negative errno.
 */
int receive_message(struct preamble *p, struct wire_message *m, int *fds, uint32_t *nfds)
{
	uint16_t slots[WIRE_MESSAGE_FDS];
	struct iovec iov[2] = {{m, sizeof *m}, {slots, sizeof slots}};
	union control c;
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = &c, .msg_controllen = sizeof c};
	long n;

	do
		n = sys_3(recvmsg, p->socket, &h, MSG_CMSG_CLOEXEC);
	while (n == -EINTR);
	if (n <= 0)
		return (int)n;

	/* bailey asks for no other kind of control message on our end, so there is at most this one. */
	uint32_t count = 0;
	if (h.msg_controllen >= sizeof c.header && c.header.cmsg_level == SOL_SOCKET &&
	    c.header.cmsg_type == SCM_RIGHTS) {
		uint32_t came = (uint32_t)((c.header.cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (; count < came && count < WIRE_MESSAGE_FDS; count++)
			fds[count] = ((int *)(void *)CMSG_DATA(&c.header))[count];
	}
	if (h.msg_flags & MSG_CTRUNC) /* the kernel's way to say that there were not enough numbers left */
		return -EMFILE;
	if ((size_t)n < sizeof *m || (size_t)n != sizeof *m + m->len || (h.msg_flags & MSG_TRUNC))
		return -EBADMSG;
	if (m->kind == WIRE_DESCRIPTORS) {
		if (m->len != count * sizeof slots[0])
			return -EBADMSG;
		for (uint32_t i = 0; i < count; i++) {
			if (!p->plan || slots[i] >= p->plan->slot_count)
				return -EBADMSG;
			set_slot(p, (int16_t)slots[i], fds[i]);
		}
	}
	*nfds = count;
	return (int)m->kind;
}

/*
 * Waits for a message of this type; takes descriptors that come before it. Returns 0, or a negative errno:
 * -ECONNRESET when bailey is gone, -ECANCELED when it says to give up.
 */
int await_message(struct preamble *p, uint32_t type)
{
	struct wire_message m;
	int fds[WIRE_MESSAGE_FDS];
	uint32_t nfds;

	for (;;) {
		int got = receive_message(p, &m, fds, &nfds);
		if (got < 0)
			return got;
		if (got == 0)
			return -ECONNRESET;
		if (got == WIRE_DESCRIPTORS)
			continue;
		if (got != (int)type)
			return -EBADMSG;
		return m.value ? -ECANCELED : 0;
	}
}

/* Reports the operation being executed as failed, and ends. */
void give_up(struct preamble *p, int err)
{
	char data[WIRE_MESSAGE_DATA];
	struct wire_message m;
	int fds[WIRE_MESSAGE_FDS];
	uint32_t n = 0, nfds;
	const char *part[2] = {p->syscall ? p->syscall : "", p->object};

	/* Nobody is there to be told, or bailey itself said so. */
	if (err == -ECONNRESET || err == -ECANCELED)
		sys_exit(1);
	for (int i = 0; i < 2; i++) {
		for (const char *s = part[i]; *s && n < sizeof data - 2; s++)
			data[n++] = *s;
		data[n++] = '\0';
	}
	send_message(p, WIRE_FAILED, -err, data, n, p->evidence ? p->evidence : -1);
	/* Until bailey hangs up: our namespaces, which it looks at meanwhile, end with us. */
	while (receive_message(p, &m, fds, &nfds) > 0)
		;
	sys_exit(1);
}
