//! The logs of kernel and hypervisor: errors that nobody looked at.

use super::{Bench, Outcome, Status, TestError};
use crate::facts::Context;
use steps::Command;

/// `LOG_ERR` of syslog(3); smaller is worse.
const ERROR: u32 = 3;
/// Lines that the report tells; the evidence has all.
const TOLD: usize = 10;
/// A log that starts later than this many seconds after boot has lost its start.
const START: f64 = 5.0;

/// Words that mean trouble at any level.
const BAD: [&str; 9] = [
    "hardware error",
    "machine check",
    "bug:",
    "call trace",
    "i/o error",
    "blocked for more than",
    "soft lockup",
    "hard lockup",
    "uncorrected",
];

/// The same for Xen, whose log has no levels.
const BAD_XEN: [&str; 7] = [
    "machine check",
    "mce:",
    "hardware error",
    "io_page_fault",
    "fault addr",
    "xen bug",
    "panic",
];

/// What the kernel calls an error, though it is a remark about tables of the firmware that it works around, or what Bedplate's
/// initrd does on purpose: it leaves the watchdog armed until the host is good.
const REMARKS: [&str; 3] = [
    "ACPI BIOS Error",
    "ACPI Error:",
    "watchdog: watchdog0: watchdog did not stop!",
];

/// What Xen says of machine checks when there was none (xen/arch/x86/cpu/mcheck/mce.c and non-fatal.c).
const REMARKS_XEN: [&str; 2] = [
    "machine check reporting enabled",
    "machine check polling timer started",
];

/// A line of the kernel's log.
#[derive(Debug, PartialEq)]
struct Line<'a> {
    level: u32,
    seconds: Option<f64>,
    text: &'a str,
}

/// `<3>[   12.345678] text`, as `dmesg --raw` writes it. The number holds the facility above the level.
fn parse(line: &str) -> Option<Line<'_>> {
    let (number, rest) = line.strip_prefix('<')?.split_once('>')?;
    let level = number.parse::<u32>().ok()? & 7;
    let (seconds, text) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((seconds, text)) => (seconds.trim().parse().ok(), text.trim_start()),
        None => (None, rest),
    };
    Some(Line {
        level,
        seconds,
        text,
    })
}

fn has(text: &str, words: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    words.iter().any(|word| text.contains(word))
}

fn is_bad(line: &Line<'_>) -> bool {
    let remark = REMARKS.iter().any(|remark| line.text.starts_with(remark));
    has(line.text, &BAD) || (line.level <= ERROR && !remark)
}

fn is_bad_xen(line: &str) -> bool {
    // Xen prints its own command line and options, which may name these words.
    has(line, &BAD_XEN) && !has(line, &["command line", "cmdline"]) && !has(line, &REMARKS_XEN)
}

/// Reads the logs and judges them.
pub(super) fn run(bench: &mut Bench<'_>) -> Result<Outcome, TestError> {
    let mut outcome = Outcome::new();
    let log = bench.system.run(&Command::new("dmesg").arg("--raw"))?;
    bench.keep("kernel.log", &log.stdout)?;
    let whole = judge_kernel(&String::from_utf8_lossy(&log.stdout), &mut outcome);
    if bench.facts.context.value() == Some(&Context::Dom0) {
        let log = bench.system.run(&Command::new("xl").arg("dmesg"))?;
        bench.keep("xen.log", &log.stdout)?;
        judge_xen(&String::from_utf8_lossy(&log.stdout), &mut outcome);
    }
    leave_open(&mut outcome, whole);
    Ok(outcome)
}

/// What is lost of a log may have been errors: without them it is not known to be clean.
fn leave_open(outcome: &mut Outcome, whole: bool) {
    if outcome.status == Status::Passed && !whole {
        outcome.status = Status::Skipped;
        outcome.reason = "the kernel's log has lost its older lines, which may have been errors; restart the machine and run this \
                          soon after, with more room for the log (log_buf_len= of the kernel) where that is not enough"
            .to_owned();
    }
}

/// Judges the lines that are there. Whether they reach back to the boot.
fn judge_kernel(text: &str, outcome: &mut Outcome) -> bool {
    let lines: Vec<Line<'_>> = text.lines().filter_map(parse).collect();
    let bad: Vec<&str> = lines
        .iter()
        .filter(|line| is_bad(line))
        .map(|line| line.text)
        .collect();
    outcome.measured(
        "lines of the kernel's log",
        lines.len().to_string(),
        "",
        "dmesg --raw",
    );
    let whole = lines
        .first()
        .and_then(|line| line.seconds)
        .is_some_and(|seconds| seconds < START);
    outcome.measured(
        "the log reaches back to the boot",
        if whole {
            "yes"
        } else {
            "no, older lines are lost"
        },
        "yes",
        "dmesg --raw",
    );
    outcome.measured(
        "errors of the kernel",
        bad.len().to_string(),
        "0",
        "dmesg --raw",
    );
    outcome.expect(!lines.is_empty(), || "the kernel's log is empty".to_owned());
    tell("kernel", &bad, outcome);
    whole
}

fn judge_xen(text: &str, outcome: &mut Outcome) {
    let bad: Vec<&str> = text.lines().filter(|line| is_bad_xen(line)).collect();
    outcome.measured("errors of Xen", bad.len().to_string(), "0", "xl dmesg");
    tell("Xen", &bad, outcome);
}

/// The first of them, each once: one broken device may fill a log with the same line.
fn tell(whose: &str, bad: &[&str], outcome: &mut Outcome) {
    let mut different: Vec<(&str, usize)> = Vec::new();
    for &line in bad {
        match different.iter_mut().find(|(known, _)| *known == line) {
            Some((_, times)) => *times += 1,
            None => different.push((line, 1)),
        }
    }
    outcome.expect(bad.is_empty(), || {
        let more = different.len().saturating_sub(TOLD);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let first = different
            .iter()
            .take(TOLD)
            .map(|(line, times)| match times {
                1 => (*line).to_owned(),
                _ => format!("{line} ({times} times)"),
            });
        format!("{whose}: {}{more}", first.collect::<Vec<_>>().join(" | "))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(text: &str) -> Outcome {
        let mut outcome = Outcome::new();
        let whole = judge_kernel(text, &mut outcome);
        leave_open(&mut outcome, whole);
        outcome
    }

    #[test]
    fn levels_and_words_decide() {
        let fine = "<5>[    0.000000] Linux version 6.12\n<6>[    1.0] EXT4-fs mounted\n<28>[   9.1] systemd[1]: odd\n";
        assert_eq!(kernel(fine).status, Status::Passed, "{:?}", kernel(fine));
        let error = format!("{fine}<3>[   10.5] ata1: exception Emask 0x0\n");
        assert_eq!(kernel(&error).reason, "kernel: ata1: exception Emask 0x0");
        // 27 is LOG_DAEMON with LOG_ERR.
        assert_eq!(kernel("<27>[ 1.0] broken").status, Status::Failed);
        let word = format!("{fine}<6>[   11.0] {{1}}[Hardware Error]: event severity: corrected\n");
        assert_eq!(kernel(&word).status, Status::Failed);
        let remark = format!(
            "{fine}<3>[    0.3] ACPI BIOS Error (bug): Could not resolve\n\
             <2>[   22.9] watchdog: watchdog0: watchdog did not stop!\n"
        );
        assert_eq!(kernel(&remark).status, Status::Passed);
        let fired =
            format!("{fine}<2>[   99.9] watchdog: BUG: soft lockup - CPU#1 stuck for 26s!\n");
        assert_eq!(kernel(&fired).status, Status::Failed);
    }

    #[test]
    fn a_log_without_its_start_is_not_known_to_be_clean_and_an_empty_one_fails() {
        let late = kernel("<6>[  900.0] eth0: up\n");
        assert!(late.measurements[1].observed.starts_with("no"));
        assert!(
            late.status == Status::Skipped && late.reason.contains("lost its older lines"),
            "{late:?}"
        );
        let broken = kernel("<6>[  900.0] eth0: up\n<3>[  901.0] ata1: timeout\n");
        assert_eq!(broken.status, Status::Failed, "what is there is enough");
        assert_eq!(kernel("").status, Status::Failed);
        assert_eq!(kernel("nonsense\n<x>[] y\n<").status, Status::Failed);
    }

    #[test]
    fn xen_has_words_only() {
        let judge = |text: &str| {
            let mut outcome = Outcome::new();
            judge_xen(text, &mut outcome);
            outcome.status
        };
        let fine = "(XEN) Command line: noreboot=no mce=verbose panic\n(XEN) Xen version 4.20\n\
                    (XEN) CPU0: AMD K8 machine check reporting enabled\n\
                    (XEN) mcheck_poll: Machine check polling timer started.\n";
        assert_eq!(judge(fine), Status::Passed);
        let fault = "(XEN) AMD-Vi: IO_PAGE_FAULT: 0000:03:00.0 d0 addr 00000000\n";
        assert_eq!(judge(fault), Status::Failed);
        let check = "(XEN) [Hardware Error]: Machine check on CPU3\n";
        assert_eq!(judge(check), Status::Failed);
    }

    #[test]
    fn one_line_again_and_again_is_told_once() {
        let text = "<3>[ 1.0] usb 1-1: reset\n<3>[ 2.0] ata1: timeout\n<3>[ 3.0] usb 1-1: reset\n";
        let outcome = kernel(text);
        assert_eq!(
            outcome.reason,
            "kernel: usb 1-1: reset (2 times) | ata1: timeout"
        );
        let counted = outcome
            .measurements
            .iter()
            .find(|one| one.name == "errors of the kernel");
        assert_eq!(counted.map(|one| one.observed.as_str()), Some("3"));
    }

    #[test]
    fn many_errors_are_told_in_short() {
        let text: String = (0..50).map(|n| format!("<3>[ 1.0] error {n}\n")).collect();
        let outcome = kernel(&text);
        assert!(
            outcome.reason.ends_with("error 9 and 40 more"),
            "{}",
            outcome.reason
        );
    }
}
