/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stands in for netsh.exe in a Wine prefix: writes down every command line with the exit code it
   gives, answers as the netsh of a Windows version does, and plays failures. Under another name
   (sc.exe, reg.exe) it only records and plays.

   Files beside it, named as it is:
     netsh.version   the Windows it plays: "6.1.7601 client"; missing: every command succeeds
     netsh.rules     netsh-rules.txt
     netsh.play      lines WHAT FIRST LAST CODE TEXT: the FIRST to the LAST command in which TEXT
                     occurs ends with CODE ("fail"), or is written down and never ends ("hang")
     netsh.log       what it writes: CODE<TAB>COMMAND, or hang<TAB>COMMAND; the command as given */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "netsh_rules.h"

enum { most_text = 262144, hang_ms = 300000 };

static void path_beside(const char* extension, wchar_t* path) {
  wchar_t wide[16];
  GetModuleFileNameW(NULL, path, MAX_PATH);
  wchar_t* dot = wcsrchr(path, L'.');
  mbstowcs(wide, extension, 16);
  wcscpy(dot, wide);
}

/* The text of a file beside us; NULL if there is none. */
static char* read_beside(const char* extension) {
  wchar_t path[MAX_PATH];
  path_beside(extension, path);
  HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                            OPEN_EXISTING, 0, NULL);
  if (file == INVALID_HANDLE_VALUE) return NULL;
  static char buffer[most_text];
  DWORD size = 0;
  ReadFile(file, buffer, most_text - 1, &size, NULL);
  CloseHandle(file);
  buffer[size] = '\0';
  return _strdup(buffer);
}

/* One write, so that a line is there as a whole or not at all when the power goes. */
static void record(const char* outcome, const char* command) {
  wchar_t path[MAX_PATH];
  path_beside(".log", path);
  HANDLE file = CreateFileW(path, FILE_APPEND_DATA, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                            OPEN_ALWAYS, 0, NULL);
  if (file == INVALID_HANDLE_VALUE) ExitProcess(99);
  static char line[32768];
  const int size = snprintf(line, sizeof line, "%s\t%s\n", outcome, command);
  DWORD written = 0;
  WriteFile(file, line, (DWORD)size, &written, NULL);
  CloseHandle(file);
}

/* What stands behind the program's name, in UTF-8; a redirection leaves blanks at its end. */
static void raw_command(char* command, int size) {
  const wchar_t* at = GetCommandLineW();
  if (*at == L'"') {
    at = wcschr(at + 1, L'"');
    at = at ? at + 1 : L"";
  } else {
    at += wcscspn(at, L" \t");
  }
  at += wcsspn(at, L" \t");
  WideCharToMultiByte(CP_UTF8, 0, at, -1, command, size, NULL, NULL);
  for (size_t n = strlen(command); n > 0 && command[n - 1] == ' '; --n) command[n - 1] = '\0';
}

/* How many recorded commands `text` occurs in. */
static int times_recorded(const char* log, const char* text) {
  int count = 0;
  while (*log != '\0') {
    const char* end = strchr(log, '\n');
    const char* found = strstr(log, text);
    if (found != NULL && (end == NULL || found < end)) ++count;
    if (end == NULL) break;
    log = end + 1;
  }
  return count;
}

/* The first line of the play that is about this command; what it says, or "". */
static const char* played(const char* play, const char* log, const char* command, int* code) {
  static char what[16];
  char text[256];
  int first = 0, last = 0, said = 0, used = 0;
  while (sscanf(play, " %15s %d %d %d %255[^\r\n]%n", what, &first, &last, &said, text, &used) ==
         5) {
    const int number = times_recorded(log, text) + 1;
    if (strstr(command, text) != NULL && number >= first && number <= last) {
      *code = said;
      return what;
    }
    play += used;
  }
  return "";
}

/* The settings: all that it was ever told and has accepted, as `netsh exec` reads them. */
static void dump(const char* log) {
  puts("pushd interface tcp\nreset");
  while (*log != '\0') {
    const char* end = strchr(log, '\n');
    const int length = end ? (int)(end - log) : (int)strlen(log);
    const char* accepted = "0\tinterface tcp set ";
    if (strncmp(log, accepted, strlen(accepted)) == 0) printf("%.*s\n", length - 16, log + 16);
    log += end ? length + 1 : length;
  }
  puts("popd");
}

static void answer(const char* text, const char* command, const char* log) {
  if (strcmp(command, "interface tcp dump") == 0) {
    dump(log);
    return;
  }
  /* A German netsh in code page 850: nobody is to read more out of it than that it was there. */
  const int shows = strstr(command, " show ") != NULL;
  printf("%s\n", shows ? "\x9a"
                         "berlastungssteuerungsanbieter : default"
                       : text);
}

int main(void) {
  static char command[16384];
  raw_command(command, sizeof command);
  const char* log = read_beside(".log");
  const char* play = read_beside(".play");
  const char* version = read_beside(".version");
  const char* rules = read_beside(".rules");
  struct netsh_verdict verdict = {0, "Ok."};
  if (log == NULL) log = "";
  if (version != NULL) verdict = netsh_judge(rules ? rules : "", version, log, command);
  const char* what = played(play ? play : "", log, command, &verdict.code);
  if (strcmp(what, "hang") == 0) {
    record("hang", command);
    Sleep(hang_ms);
    return 97;
  }
  char outcome[16];
  snprintf(outcome, sizeof outcome, "%d", verdict.code);
  answer(verdict.text, command, log);
  record(outcome, command);
  return verdict.code;
}
