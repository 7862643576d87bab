//! Many machines as a stream: facts in, one verdict out for each, one line each. Memory does not grow with the number.

mod line;

pub use line::Line;

use crate::drivers::DriverIndex;
use crate::facts::{Facts, PciIds};
use crate::list::List;
use crate::verdict::{JudgedBy, Level, Verdict, judge, looks_at};
use memchr::memchr;
use std::io::{self, BufRead, BufReader, Read, Write};

/// Longest line, in bytes. The facts of the biggest servers have a few megabytes.
pub const LONGEST: u64 = 16 << 20;

/// Bytes read at once: the facts of a server.
const AT_ONCE: usize = 64 * 1024;

/// What every machine of a stream is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Fleet<'a> {
    /// The list.
    pub list: &'a List,
    /// The kernel that is going to run there.
    pub drivers: Option<&'a DriverIndex>,
    /// What verdicts say that they were reached by. In each line, because lines are sorted, split and kept apart from each
    /// other; it is a hundredth of a line.
    pub by: &'a JudgedBy,
}

impl Fleet<'_> {
    /// Judges each line of `input`: one line comes out for each. A line that is no facts, also an empty one, gives a line
    /// with an error, and the stream goes on. What was judged goes out before more is waited for. Returns the exit code: that
    /// of the worst machine, 4 where a line could not be read or none was a machine. Empty lines behind the last machine
    /// change no exit code, because files end so.
    ///
    /// # Errors
    /// Input or output fail.
    pub fn judge(&self, input: impl Read, output: impl Write) -> io::Result<u8> {
        let mut input = BufReader::with_capacity(AT_ONCE, input);
        let mut output = io::BufWriter::with_capacity(AT_ONCE, output);
        let (mut buffer, mut answer) = (Vec::new(), Vec::new());
        let mut worst = Worst::default();
        let mut after_empty = false;
        let wanted = |ids: &PciIds, revision| looks_at(self.list, ids, revision);
        for line in 1_u64.. {
            if input.buffer().is_empty() {
                output.flush()?;
            }
            buffer.clear();
            let read = read_line(&mut input, &mut buffer)?;
            if read == 0 {
                break;
            }
            let too_long = read as u64 > LONGEST;
            let text = buffer.trim_ascii();
            if text.is_empty() && !too_long {
                let error = "empty line".to_owned();
                output.write_all(&line::error(line, error))?;
                after_empty = true;
                continue;
            }
            if std::mem::take(&mut after_empty) {
                worst.unreadable();
            }
            if too_long {
                skip_line(&mut input)?;
                let error = format!("longer than {LONGEST} bytes: no facts of one machine");
                worst.unreadable();
                output.write_all(&line::error(line, error))?;
                continue;
            }
            match Facts::from_json_for_verdict(text, &wanted) {
                Ok(facts) => {
                    let verdict = judge(&facts, self.list, self.drivers);
                    worst.take(&verdict);
                    let machine = facts.dmi.serial.value().or(facts.dmi.uuid.value());
                    let machine = machine.map(String::as_str);
                    answer.clear();
                    line::write_verdict(&mut answer, line, machine, self.by, verdict);
                    output.write_all(&answer)?;
                }
                Err(error) => {
                    worst.unreadable();
                    output.write_all(&line::error(line, shortened(error.to_string())))?;
                }
            }
        }
        output.flush()?;
        Ok(worst.exit_code())
    }
}

/// Longest text of an error, in characters.
const ERROR: usize = 400;

/// Errors quote what they found, which may be all of the line: begin and end of it tell what and where.
fn shortened(error: String) -> String {
    let count = error.chars().count();
    if count <= ERROR {
        return error;
    }
    let begin = error.chars().take(ERROR / 2);
    let end = error.chars().skip(count - ERROR / 2);
    begin.chain(" ... ".chars()).chain(end).collect()
}

/// Reads up to the end of a line, and at most one byte more than [`LONGEST`]. Returns the number of bytes, 0 at the end.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    let most = LONGEST as usize + 1;
    loop {
        let available = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            available => available?,
        };
        let available = &available[..available.len().min(most - line.len())];
        // The standard library looks for it a word at a time, which takes as long as all of the verdict.
        let end = memchr(b'\n', available).map(|end| end + 1);
        let taken = end.unwrap_or(available.len());
        line.extend_from_slice(&available[..taken]);
        input.consume(taken);
        if end.is_some() || taken == 0 {
            return Ok(line.len());
        }
    }
}

/// Passes over the rest of a line without keeping it.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let available = input.fill_buf()?;
        if available.is_empty() {
            return Ok(());
        }
        match memchr(b'\n', available) {
            Some(end) => {
                input.consume(end + 1);
                return Ok(());
            }
            None => {
                let all = available.len();
                input.consume(all);
            }
        }
    }
}

/// The worst machine so far, in the order of [`Level`].
#[derive(Debug, Default)]
struct Worst {
    level: Option<Level>,
    warned: bool,
}

impl Worst {
    fn take(&mut self, verdict: &Verdict) {
        self.level = self.level.max(Some(verdict.level));
        self.warned |= verdict.exit_code() == 1;
    }

    fn unreadable(&mut self) {
        self.level = self.level.max(Some(Level::Unknown));
    }

    fn exit_code(&self) -> u8 {
        match self.level {
            Some(Level::Unsupported | Level::UnlistedWithoutDriver) => 3,
            // Whoever made an empty stream did not say that all is well.
            Some(Level::Unknown) | None => 4,
            Some(_) => u8::from(self.warned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Subject;

    fn run(input: &str) -> (u8, Vec<serde_json::Value>) {
        let list = List::built_in().expect("list");
        let by = JudgedBy::of(&list, true);
        let fleet = Fleet {
            list: &list,
            drivers: None,
            by: &by,
        };
        let mut output = Vec::new();
        let code = fleet.judge(input.as_bytes(), &mut output).expect("streams");
        let lines = String::from_utf8(output).expect("UTF-8");
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        (code, lines.collect())
    }

    #[test]
    fn a_bad_line_is_told_and_the_stream_goes_on() {
        let (code, lines) = run(
            "{\"schema\":1,\"dmi\":{\"serial\":\"S1\"}}\nnonsense\n\n{\"schema\":2}\n{\"schema\":1}",
        );
        assert_eq!(code, 4);
        let numbers: Vec<u64> = lines
            .iter()
            .map(|line| line["line"].as_u64().expect("number"))
            .collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
        assert_eq!(lines[0]["machine"], "S1");
        assert_eq!(lines[0]["verdict"]["level"], "unknown");
        assert!(
            lines[1]["error"]
                .as_str()
                .is_some_and(|error| error.contains("no facts"))
        );
        assert_eq!(lines[2]["error"], "empty line");
        assert!(
            lines[3]["error"]
                .as_str()
                .is_some_and(|error| error.contains("schema 2"))
        );
        assert!(lines[4]["verdict"].is_object());
    }

    #[test]
    fn empty_lines_at_the_end_are_no_machines_and_no_machine_is_no_verdict() {
        let outcome = |input: &str| {
            let (code, lines) = run(input);
            (code, lines.len())
        };
        assert_eq!(outcome("\n \n\r\n"), (4, 3));
        assert_eq!(outcome("\n\nnonsense\n"), (4, 3));
    }

    /// A disk counts with what it hangs on, of whatever kind that is.
    #[test]
    fn a_disk_on_a_function_that_nobody_looks_at_is_judged_as_alone() {
        let list = List::built_in().expect("list");
        let drivers = DriverIndex::shipped().expect("drivers");
        for (address, there) in [("0000:00:02.0", true), ("0000:00:03.0", false)] {
            let line = format!(
                r#"{{"schema":1,"pci":[
                {{"address":"0000:00:01.0","ids":{{"vendor":"0x8086","device":"0x1572","class":"0x020000"}}}},
                {{"address":"0000:00:02.0","source":"s","modalias":"m","driver":"d","ids":{{"vendor":"0x8086","device":"0xffff","class":"0x088000"}}}}],
                "disks":[{{"name":"sda","kind":"disk","size_bytes":64000000000,"removable":false,"read_only":false,"pci_address":"{address}"}}]}}"#
            );
            let facts = Facts::from_json(line.as_bytes()).expect("facts");
            assert_eq!(facts.pci_function(address).is_some(), there);
            let verdict = judge(&facts, &list, Some(&drivers));
            let about_it = verdict
                .findings
                .iter()
                .any(|finding| match &finding.subject {
                    Subject::Pci(found) => *found == address,
                    _ => false,
                });
            assert_eq!(about_it, there, "{verdict:#?}");
            let by = JudgedBy::of(&list, true);
            let fleet = Fleet {
                list: &list,
                drivers: Some(&drivers),
                by: &by,
            };
            let mut output = Vec::new();
            let line = line.replace('\n', " ");
            fleet.judge(line.as_bytes(), &mut output).expect("streams");
            let line: serde_json::Value = serde_json::from_slice(&output).expect("JSON");
            let alone = serde_json::to_value(&verdict.findings).expect("JSON");
            assert_eq!(line["verdict"]["findings"], alone);
        }
    }

    #[test]
    fn an_error_does_not_quote_all_of_a_line() {
        let long = "x".repeat(100_000);
        let (_, lines) = run(&format!("{{\"schema\":\"{long}\"}}\n"));
        let error = lines[0]["error"].as_str().expect("text");
        assert!(error.len() < 500, "{}", error.len());
        assert!(
            error.contains("invalid type") && error.contains("column"),
            "{error}"
        );
    }

    #[test]
    fn each_verdict_names_the_list() {
        let (_, lines) = run("{\"schema\":1}\n{\"schema\":1}\n");
        let bundle = List::built_in().expect("list").to_bundle();
        let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bundle));
        for line in lines {
            assert_eq!(line["verdict"]["list"]["sha256"], *digest);
            assert_eq!(line["verdict"]["list"]["built_in"], true);
            assert_eq!(
                line["verdict"]["tool"]["version"],
                env!("CARGO_PKG_VERSION")
            );
        }
    }

    #[test]
    fn nothing_in_is_nothing_out() {
        assert_eq!(run(""), (4, Vec::new()));
    }

    #[test]
    fn an_endless_line_is_not_kept() {
        struct Endless(u64);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let count = buffer.len().min(self.0 as usize);
                buffer[..count].fill(b'x');
                self.0 -= count as u64;
                Ok(count)
            }
        }
        let list = List::default();
        let by = JudgedBy::of(&list, false);
        let fleet = Fleet {
            list: &list,
            drivers: None,
            by: &by,
        };
        let mut output = Vec::new();
        let tail: &[u8] = b"\n{\"schema\":1}\n";
        let input = Endless(LONGEST * 2).chain(tail);
        let code = fleet.judge(input, &mut output).expect("streams");
        let text = String::from_utf8(output).expect("UTF-8");
        assert!(
            code == 4 && text.lines().count() == 2 && text.contains("longer than"),
            "{text}"
        );
    }

    /// Who sends one machine and waits for its verdict gets it.
    #[test]
    fn an_answer_does_not_wait_for_the_next_machine() {
        use std::sync::mpsc;
        use std::time::Duration;
        struct Lines(mpsc::Receiver<&'static [u8]>);
        impl Read for Lines {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let line = self.0.recv().unwrap_or_default();
                buffer[..line.len()].copy_from_slice(line);
                Ok(line.len())
            }
        }
        struct Answers(mpsc::Sender<usize>);
        impl Write for Answers {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.send(bytes.len());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (machines, lines) = mpsc::channel();
        let (answers, answered) = mpsc::channel();
        let judging = std::thread::spawn(move || {
            let list = List::default();
            let by = JudgedBy::of(&list, false);
            let fleet = Fleet {
                list: &list,
                drivers: None,
                by: &by,
            };
            fleet.judge(Lines(lines), Answers(answers))
        });
        for _ in 0..2 {
            machines.send(b"{\"schema\":1}\n").expect("judging");
            let answer = answered.recv_timeout(Duration::from_secs(60));
            assert!(answer.expect("an answer at once") > 0);
        }
        drop(machines);
        assert_eq!(judging.join().expect("no panic").expect("streams"), 4);
    }

    #[test]
    fn the_worst_machine_decides() {
        let verdict = |level| Verdict {
            schema: 1,
            level,
            context: crate::Known::Absent,
            kernel: None,
            findings: Vec::new(),
        };
        let code = |levels: &[Level]| {
            let mut worst = Worst::default();
            levels.iter().for_each(|&level| worst.take(&verdict(level)));
            worst.exit_code()
        };
        assert_eq!(code(&[Level::Certified, Level::Compatible]), 0);
        assert_eq!(code(&[Level::CertifiedWithDeviation, Level::Compatible]), 1);
        assert_eq!(code(&[Level::UnlistedWithDriver, Level::Certified]), 1);
        assert_eq!(code(&[Level::Unsupported, Level::Unknown]), 3);
        assert_eq!(
            code(&[Level::Unknown, Level::Unsupported, Level::Compatible]),
            3
        );
        assert_eq!(code(&[Level::Unknown, Level::Compatible]), 4);
    }
}
