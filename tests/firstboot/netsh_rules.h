/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What netsh of a Windows version says to a command line: text in, verdict out. C, and without any
   system call, because the recorder (netsh_recorder.c) is built for Windows and a test for Linux.
 */
#ifndef KVMNET_TESTS_FIRSTBOOT_NETSH_RULES_H
#define KVMNET_TESTS_FIRSTBOOT_NETSH_RULES_H

#ifdef __cplusplus
extern "C" {
#endif

struct netsh_verdict {
  int code;       /* what netsh exits with */
  char text[512]; /* what it prints */
};

/* `rules`: the text of netsh-rules.txt. `played`: "6.1.7601 client". `log`: what was recorded so
   far, from which the state of the templates is taken. `command`: what stands behind "netsh". */
struct netsh_verdict netsh_judge(const char* rules, const char* played, const char* log,
                                 const char* command);

#ifdef __cplusplus
}
#endif
#endif
