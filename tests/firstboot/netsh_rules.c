/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netsh_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { word_size = 160, most_words = 16 };

struct words {
  int count;
  char at[most_words][word_size];
};

struct version {
  int part[3]; /* major, minor, build */
  int parts;   /* how many of them are given */
};

struct row {
  struct version from, to;
  char edition[word_size], command[word_size], parameter[word_size], values[word_size];
};

struct guest {
  struct version version;
  char edition[word_size];
};

/* Splits at blanks; quotes are not known here: no rule needs them. False: too many or too long. */
static int split(const char* text, struct words* words) {
  words->count = 0;
  for (;;) {
    text += strspn(text, " \t\r\n");
    const size_t length = strcspn(text, " \t\r\n");
    if (length == 0) return 1;
    if (words->count == most_words || length >= word_size) return 0;
    memcpy(words->at[words->count], text, length);
    words->at[words->count++][length] = '\0';
    text += length;
  }
}

/* The next line, without its end, in `line`; where the one after it begins, or NULL at the end. */
static const char* next_line(const char* text, char* line, size_t size) {
  if (*text == '\0') return NULL;
  const size_t length = strcspn(text, "\n");
  const size_t kept = length < size ? length : size - 1;
  memcpy(line, text, kept);
  line[kept] = '\0';
  return text + length + (text[length] == '\n');
}

static struct version parse_version(const char* text) {
  struct version version = {{0, 0, 0}, 0};
  if (*text != '-')
    version.parts = sscanf(text, "%d.%d.%d", &version.part[0], &version.part[1], &version.part[2]);
  return version;
}

/* By as many parts as `limit` has: 6.1.7601 is not above 6.1. */
static int compare(const struct version* version, const struct version* limit) {
  for (int i = 0; i < limit->parts; ++i)
    if (version->part[i] != limit->part[i]) return version->part[i] < limit->part[i] ? -1 : 1;
  return 0;
}

/* Whether the line is a row that is about this guest; the row. */
static int parse_row(const char* line, const struct guest* guest, struct row* row) {
  struct words words;
  if (*line == '#' || !split(line, &words) || words.count != 7) return 0;
  row->from = parse_version(words.at[0]);
  row->to = parse_version(words.at[1]);
  strcpy(row->edition, words.at[2]);
  strcpy(row->command, words.at[3]);
  strcpy(row->parameter, words.at[4]);
  strcpy(row->values, words.at[5]);
  return compare(&guest->version, &row->from) >= 0 && compare(&guest->version, &row->to) <= 0 &&
         (strcmp(row->edition, "any") == 0 || strcmp(row->edition, guest->edition) == 0);
}

/* The row of a command's parameter, by its name, or (where `name` is NULL) the one at `position`.
   Without either: any row of the command. */
static int find_row(const char* rules, const struct guest* guest, const char* command,
                    const char* name, int position, struct row* found) {
  char line[1024];
  while ((rules = next_line(rules, line, sizeof line)) != NULL) {
    if (!parse_row(line, guest, found) || strcmp(found->command, command) != 0) continue;
    if (name != NULL && strcmp(found->parameter, name) == 0) return 1;
    if (name != NULL || strcmp(found->parameter, "modifiable") == 0) continue;
    if (position-- <= 0) return 1;
  }
  return 0;
}

static int is_among(const char* value, const char* values) {
  const size_t length = strlen(value);
  for (const char* at = values; length > 0; ++at) {
    const size_t next = strcspn(at, "|");
    if (next == length && memcmp(at, value, length) == 0) return 1;
    at += next;
    if (*at == '\0') break;
  }
  return 0;
}

static int fits(const char* value, const char* values) {
  if (strcmp(values, "number") == 0)
    return *value != '\0' && value[strspn(value, "0123456789")] == '\0';
  return strcmp(values, "*") == 0 || is_among(value, values);
}

static struct netsh_verdict verdict(int code, const char* format, const char* what) {
  struct netsh_verdict result = {code, ""};
  snprintf(result.text, sizeof result.text, format, what);
  return result;
}

/* The last value that a setting of a template was given, by the log; `initial` if none. */
static int logged_number(const char* log, const char* template_name, const char* setting,
                         int initial) {
  char line[1024], wanted[word_size * 2];
  snprintf(wanted, sizeof wanted, "set supplemental template=%s %s=", template_name, setting);
  while ((log = next_line(log, line, sizeof line)) != NULL) {
    const char* at = strstr(line, wanted);
    if (at != NULL && strncmp(line, "0\t", 2) == 0) initial = atoi(at + strlen(wanted));
  }
  return initial;
}

/* What is given to a setting of a template, seen against the template's others: the timeout of
   delayed ACKs stays below the smallest RTO (S1). The custom templates begin with data-centre
   timings, in which an Internet one does not fit (O9). */
static int timings_agree(const char* log, const char* template_name, const char* setting,
                         const char* value) {
  const int custom = strstr(template_name, "custom") != NULL;
  int minrto = logged_number(log, template_name, "minrto", custom ? 20 : 300);
  int timeout = logged_number(log, template_name, "delayedacktimeout", custom ? 10 : 50);
  if (strcmp(setting, "minrto") == 0) minrto = atoi(value);
  if (strcmp(setting, "delayedacktimeout") == 0) timeout = atoi(value);
  return timeout < minrto;
}

struct call {
  const char* rules;
  const char* log;
  const struct guest* guest;
  char command[2 * word_size];
  char template_name[word_size]; /* of set supplemental; "" before it was given */
};

static struct netsh_verdict judge_setting(struct call* call, const char* setting,
                                          const char* value) {
  struct row row;
  if (strcmp(setting, "template") == 0) {
    snprintf(call->template_name, sizeof call->template_name, "%s", value);
  } else if (strcmp(call->command, "set_supplemental") == 0) {
    if (!find_row(call->rules, call->guest, call->command, "modifiable", 0, &row) ||
        !is_among(call->template_name, row.values))
      return verdict(1, "The template %s cannot be modified.", call->template_name);
    if (!timings_agree(call->log, call->template_name, setting, value))
      return verdict(1, "%s: delayedacktimeout must be less than minrto.", setting);
  }
  return verdict(0, "%s", "");
}

/* One word of the call: NAME=VALUE, or a value in its place. */
static struct netsh_verdict judge_word(struct call* call, const char* word, int position) {
  struct row row;
  char name[word_size];
  const char* equals = strchr(word, '=');
  snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - word) : 0, word);
  if (!find_row(call->rules, call->guest, call->command, equals ? name : NULL, position, &row) ||
      strcmp(row.parameter, "-") == 0 || strcmp(row.parameter, "modifiable") == 0)
    return verdict(1, "'%s' is not a valid argument for this command.", equals ? name : word);
  const char* value = equals ? equals + 1 : word;
  if (!fits(value, row.values)) return verdict(1, "The value '%s' is not valid.", value);
  return judge_setting(call, row.parameter, value);
}

static struct netsh_verdict judge_words(struct call* call, const struct words* words, int first) {
  struct row row;
  if (!find_row(call->rules, call->guest, call->command, NULL, 0, &row))
    return verdict(1, "The following command was not found: %s.", call->command);
  if (strncmp(call->command, "set_", 4) == 0 && first == words->count)
    return verdict(1, "Usage: %s", call->command);
  for (int i = first; i < words->count; ++i) {
    const struct netsh_verdict bad = judge_word(call, words->at[i], i - first);
    if (bad.code != 0) return bad;
  }
  return verdict(0, "%s", "Ok.");
}

struct netsh_verdict netsh_judge(const char* rules, const char* played, const char* log,
                                 const char* command) {
  struct words words, guest_words;
  struct guest guest;
  if (!split(played, &guest_words) || guest_words.count != 2)
    return verdict(98, "recorder: no Windows version is given: %s", played);
  guest.version = parse_version(guest_words.at[0]);
  strcpy(guest.edition, guest_words.at[1]);
  /* "int" will do for "interface". */
  if (!split(command, &words) || words.count < 3 || strncmp(words.at[0], "int", 3) != 0 ||
      strcmp(words.at[1], "tcp") != 0)
    return verdict(1, "The following command was not found: %s.", command);
  struct call call = {rules, log, &guest, "", ""};
  const int alone = strcmp(words.at[2], "dump") == 0;
  snprintf(call.command, sizeof call.command, "%s%s%s", words.at[2], alone ? "" : "_",
           alone || words.count < 4 ? "" : words.at[3]);
  return judge_words(&call, &words, alone ? 3 : 4);
}
