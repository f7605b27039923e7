// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/firstboot.h"

#include <fmt/format.h>

#include "src/plan/text.h"

namespace kvmnet::firstboot {
namespace {

// Only constructs that mean the same in every cmd.exe from Vista on, and in Wine's, where the
// script is tested: no && or ||, no redirected blocks, every exit code taken on the line after its
// command, redirections before `echo` so that a trailing digit is not taken for a handle. A call
// whose redirection cannot be opened is not made: that tells who has the lock, and if the log can
// be written.
constexpr std::string_view head = R"(@echo off
rem kvmnet: applies TCP settings at the first boot, once, then removes itself.
setlocal EnableExtensions DisableDelayedExpansion
set "SYS=%SystemRoot%\System32"
set "DIR=%SystemRoot%\kvmnet"
set "LOG=%DIR%\firstboot.log"
set "NEW=%DIR%\firstboot.new"
set "RAN=%DIR%\firstboot.ran"
set "BEFORE=%DIR%\firstboot-before.txt"
set "KEY=HKLM\SYSTEM\CurrentControlSet\Services\kvmnet-firstboot"
set "STARTED=no"
set "REMOVE=no"
set "RESTART=no"
set "STOP=no"
set "CODE=0"
set "STATUS=done"
set "BOOT=1"
set "TRY=1"
)";

// Setup waits for what it calls before anybody can log on: not for a netsh that hangs, nor for work
// that may take long or never end.
constexpr std::string_view leave_setup = R"(
rem Setup waits for what it calls, but not for this.
if "%~1"=="setup" start "" /b "%SYS%\cmd.exe" /d /c %DIR%\firstboot.cmd detached <nul >nul 2>&1
if "%~1"=="setup" exit /b 0
)";

constexpr std::string_view start = R"(
rem Windows Setup is running: this boot does not count. At its end Setup itself calls this.
if not "%~1"=="" goto begin
call :ask_setup
if "%SETUP%"=="yes" exit /b 0

rem Both the service and Setup may start this: only who can open the lock goes on. Windows closes it
rem with the process, however that ends; a program that work leaves running may keep it, and the file.
:begin
call :{0} 2>"%DIR%\firstboot.lock"
if "%STARTED%"=="no" if not exist "%DIR%\firstboot.lock" call :{0}
if "%REMOVE%"=="yes" goto last
exit /b %CODE%

:ask_setup
set "SETUP=no"
"%SYS%\reg.exe" query HKLM\SYSTEM\Setup /v SystemSetupInProgress 2>nul | "%SYS%\find.exe" "0x1" >nul
if not errorlevel 1 set "SETUP=yes"
"%SYS%\reg.exe" query HKLM\SYSTEM\Setup /v OOBEInProgress 2>nul | "%SYS%\find.exe" "0x1" >nul
if not errorlevel 1 set "SETUP=yes"
goto :eof

:mandatory
set "DUTY=mandatory"
goto run
:soft
set "DUTY=soft"
:run
>>"%LOG%" echo kvmnet: netsh interface tcp %*
"%SYS%\netsh.exe" interface tcp %* <nul >>"%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo kvmnet: exit code %RC%
>>"%NEW%" echo %DUTY% %RC% netsh interface tcp %*
if "%RC%"=="0" goto :eof
if "%DUTY%"=="mandatory" set "STATUS=retry"
goto :eof

:show
>>"%LOG%" echo kvmnet: netsh interface tcp show %1
"%SYS%\netsh.exe" interface tcp show %1 <nul >>"%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo kvmnet: exit code %RC%
goto :eof

:wait_5
"%SYS%\ping.exe" -n 6 127.0.0.1 >nul 2>&1
set "RC=%ERRORLEVEL%"
goto :eof

rem Somebody may have the old result open for a moment.
:deliver
move /y "%NEW%" "%DIR%\firstboot.result" >nul 2>&1
if not exist "%NEW%" goto :eof
if "%TRY%"=="6" goto :eof
set /a TRY=TRY+1
call :wait_5
goto deliver

:begin_result
>"%NEW%" echo kvmnet-firstboot-result 1
>>"%NEW%" echo id %ID%
>>"%NEW%" echo boot %BOOT%
goto :eof

:add_begun
type "%RAN%" >>"%NEW%"
>>"%NEW%" echo.
goto :eof

:can_log
set "CANLOG=yes"
goto :eof
)";

constexpr std::string_view main_part = R"(
:main
set "STARTED=yes"
rem An earlier boot did the work and was stopped before it could clean up.
if exist "%DIR%\firstboot.done" goto remove

set "CANLOG=no"
call :can_log >>"%LOG%"
if "%CANLOG%"=="no" set "LOG=nul"

rem At most three boots, also when one of them was cut short.
if exist "%DIR%\firstboot.boot1" set "BOOT=2"
if exist "%DIR%\firstboot.boot2" set "BOOT=3"
if exist "%DIR%\firstboot.boot3" goto exhausted
>"%DIR%\firstboot.boot%BOOT%" echo started
if not exist "%DIR%\firstboot.boot%BOOT%" set "BOOT=3"
call :begin_result
>>"%LOG%" echo kvmnet: script %ID%, boot %BOOT%

rem The network store may still be starting: up to a minute.
if not exist "%SYS%\netsh.exe" goto ready
:wait
"%SYS%\netsh.exe" interface tcp show global <nul >nul 2>&1
set "RC=%ERRORLEVEL%"
if "%RC%"=="0" goto ready
if "%TRY%"=="12" goto ready
set /a TRY=TRY+1
call :wait_5
goto wait
:ready
)";

constexpr std::string_view finish = R"(
if not "%STATUS%"=="retry" goto finish
if "%BOOT%"=="3" set "STATUS=failed"
goto finish

:exhausted
call :begin_result
>>"%LOG%" echo kvmnet: giving up, three boots did not finish
>>"%LOG%" echo kvmnet: status failed
set "STATUS=failed"
rem netsh may be what has hung.
goto shown

:finish
>>"%LOG%" echo kvmnet: status %STATUS%
)";

constexpr std::string_view last = R"(:shown
if exist "%RAN%" call :add_begun
>>"%NEW%" echo status %STATUS%
set "TRY=1"
call :deliver
if not "%STATUS%"=="retry" goto finished
set "CODE=1"
goto :eof
:finished
>"%DIR%\firstboot.done" echo %STATUS%

:remove
"%SYS%\sc.exe" delete kvmnet-firstboot >>"%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
if "%RC%"=="0" goto clean
"%SYS%\reg.exe" delete %KEY% /f >>"%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
if "%RC%"=="0" goto clean
"%SYS%\reg.exe" query %KEY% >nul 2>&1
set "RC=%ERRORLEVEL%"
if not "%RC%"=="0" goto clean
set "CODE=1"
goto :eof
:clean
del /f /q "%DIR%\firstboot.boot1" >nul 2>&1
del /f /q "%DIR%\firstboot.boot2" >nul 2>&1
del /f /q "%DIR%\firstboot.boot3" >nul 2>&1
del /f /q "%DIR%\firstboot-before.new" >nul 2>&1
del /f /q "%DIR%\firstboot-??.cmd" >nul 2>&1
set "REMOVE=yes"
goto :eof

rem Whoever starts a script that could not be moved away finds that all is done. cmd.exe goes on in
rem the line though the script is gone.
:last
del /f /q "%DIR%\firstboot.lock" >nul 2>&1
move /y "%~f0" "%DIR%\firstboot.old" >nul 2>&1 & if not exist "%~f0" del /f /q "%DIR%\firstboot.done" & del /f /q "%DIR%\firstboot.old" & exit /b 0
)";

std::string call(const NetshCommand& command) {
  return fmt::format("call :{} {}\n", command.duty == Duty::mandatory ? "mandatory" : "soft",
                     command.arguments);
}

// A command and what to fall back on. The first one's own failure is not counted. The others build
// on each other: after one that fails the rest is left out.
std::string calls(const NetshStep& step, int number) {
  if (step.otherwise.empty()) return call(step.command);
  const std::string leave = fmt::format("goto end{}\n", number);
  std::string text = call({step.command.arguments, Duty::soft});
  text += "if \"%RC%\"==\"0\" " + leave;
  for (const NetshCommand& command : step.otherwise) {
    if (&command != &step.otherwise.front()) text += "if not \"%RC%\"==\"0\" " + leave;
    text += call(command);
  }
  return text + fmt::format(":end{}\n", number);
}

// Put in place as a whole, and never written again: after the first `set` it would not be what was
// there before. Empty where netsh fails. That netsh can read it back is not verified on Windows.
constexpr std::string_view save_before = R"(
rem The settings as they were before any of ours, as netsh itself writes them down.
if exist "%BEFORE%" goto saved
>>"%LOG%" echo kvmnet: netsh interface tcp dump
"%SYS%\netsh.exe" interface tcp dump <nul >"%DIR%\firstboot-before.new" 2>nul
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo kvmnet: exit code %RC%
if not "%RC%"=="0" type nul >"%DIR%\firstboot-before.new"
move /y "%DIR%\firstboot-before.new" "%BEFORE%" >nul 2>&1
:saved

)";

std::string body(const std::vector<NetshStep>& steps) {
  std::string text;
  int number = 0;
  for (const NetshStep& step : steps) text += calls(step, ++number);
  return text;
}

std::string show_calls(const std::vector<std::string>& shows) {
  std::string text;
  for (const std::string& what : shows) text += fmt::format("call :show {}\n", what);
  return text;
}

// The user's work: each piece is begun once, whatever becomes of it, because it need not be fit for
// a second time. What is in firstboot.ran has been begun; a file system that loses its last seconds
// is to have that note before the work can do anything. A log of its own for each: a program that
// goes on in the background keeps it open. 3010 is what Windows' own installers end with where they
// want a restart, and 1641 where they have begun one (learn.microsoft.com, "MsiExec.exe and
// InstMsi.exe error messages"). A restart that work begins does not stop it at once: it is to come
// before the next piece is noted.
constexpr std::string_view work_routine = R"(
:work
if "%STOP%"=="yes" goto :eof
"%SYS%\find.exe" "%2" "%RAN%" >nul 2>&1
if not errorlevel 1 goto :eof
if "%AGAIN%"=="yes" call :wait_15
set "AGAIN=yes"
>>"%RAN%" echo work %2 begun %3
"%SYS%\find.exe" "%2" "%RAN%" >nul 2>&1
if errorlevel 1 goto not_begun
>>"%LOG%" echo kvmnet: work %1, %3
call :wait_5
set "OUT=%DIR%\firstboot-%1.log"
set "CANLOG=no"
call :can_log >>"%OUT%"
if "%CANLOG%"=="no" set "OUT=nul"
"%SYS%\cmd.exe" /d /e:on /v:off /c %DIR%\firstboot-%1.cmd <nul >>"%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%RAN%" echo work %2 exit %RC%
>>"%LOG%" echo kvmnet: exit code %RC%
if "%RC%"=="3010" set "RESTART=yes"
if "%RC%"=="1641" set "STOP=yes"
if "%RC%"=="1641" set "STATUS=retry"
del /f /q "%DIR%\firstboot-%1.cmd" >nul 2>&1
goto :eof
:not_begun
>>"%LOG%" echo kvmnet: work %1, %3: not begun, because that cannot be noted
goto :eof

:wait_15
call :wait_5
call :wait_5
call :wait_5
goto :eof

rem The restart comes after all work, because it would cut off what follows.
:main_with_work
call :main
if not "%RESTART%"=="yes" goto :eof
rem Not while Windows Setup is at work: up to ten minutes for its end. The seconds of the restart are
rem for what is left to do here.
set "TRY=1"
:in_setup
call :ask_setup
if "%SETUP%"=="no" goto out_of_setup
if "%TRY%"=="120" goto no_restart
set /a TRY=TRY+1
call :wait_5
goto in_setup
:out_of_setup
>>"%LOG%" echo kvmnet: shutdown /r /t 20
"%SYS%\shutdown.exe" /r /t 20 <nul >>"%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo kvmnet: exit code %RC%
goto :eof
:no_restart
>>"%LOG%" echo kvmnet: no restart, because Windows Setup does not end
goto :eof
)";

std::string work_calls(const std::vector<UserWork>& work) {
  if (work.empty()) return {};
  // A boot may have been cut off in the middle of a line.
  std::string text = "if exist \"%RAN%\" >>\"%RAN%\" echo.\n";
  const std::vector<std::string> ids = work_ids(work);
  for (std::size_t i = 0; i < work.size(); ++i)
    text += fmt::format("call :work {:02} {} {}\n", i + 1, ids[i], work[i].name);
  return text;
}

}  // namespace

std::vector<std::string> state_paths() {
  return {std::string(result_path), "kvmnet/firstboot.new",   std::string(done_path),
          "kvmnet/firstboot.boot1", "kvmnet/firstboot.boot2", "kvmnet/firstboot.boot3",
          "kvmnet/firstboot.lock",  "kvmnet/firstboot.old"};
}

std::string work_path(std::size_t number) {
  return fmt::format("{}/firstboot-{:02}.cmd", directory, number);
}

std::string script_id(const std::vector<NetshStep>& steps) {
  return hash_of(body(steps));
}

std::string script(const NetshPlan& netsh, const std::vector<UserWork>& work, Dump dump) {
  std::string text = fmt::format("{}set \"ID={}\"\n", head, script_id(netsh.steps));
  text += leave_setup;
  text += fmt::format(start, work.empty() ? "main" : "main_with_work");
  if (!work.empty()) text += work_routine;
  text += main_part;
  text += netsh.steps.empty() || dump == Dump::none ? "\n" : save_before;
  text += body(netsh.steps) + work_calls(work);
  text += finish;
  text += show_calls(netsh.shows);
  text += last;
  return with_crlf(text);
}

}  // namespace kvmnet::firstboot
