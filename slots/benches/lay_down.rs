//! Laying down the root image, against what others use for it: `cargo bench --package slots --bench lay_down [-- IMAGE]`.
//!
//! All write the same image (default: `target/release-files/root.img`) to the same loop device over a file, without the page
//! cache in between, and start with dropped caches, in turn, so that whatever else the machine does is in all of them. Ours and
//! `dd` promise the same: every byte is on the disk, was read back, and has the right SHA-256. The others promise less.
//! What is not installed is named and left out. Needs root for the loop device.

mod support;

use slots::block::{Access, FileDevice};
use slots::writer::{Expected, write_verified};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use support::{Loop, drop_caches, hash, median, peak_memory, run, said};

const ROUNDS: usize = 5;

fn main() {
    let image = std::env::args()
        .skip(1)
        .find(|word| !word.starts_with('-'))
        .map_or_else(default_image, PathBuf::from);
    let image = image.to_str().expect("UTF-8").to_owned();
    let size = fs::metadata(&image)
        .unwrap_or_else(|e| panic!("{image}: {e}; build the image first (./ci/demo), or name one"))
        .len();
    let expected = hash(&image, size);
    let disk = Loop::new(&default_image().with_file_name("bench-lay-down"));
    let ways = ways(&image, &expected, &disk);
    let mut times = vec![Vec::new(); ways.len()];
    for _ in 0..ROUNDS {
        for (way, times) in ways.iter().zip(&mut times) {
            drop_caches();
            let started = Instant::now();
            (way.run)();
            times.push(started.elapsed());
        }
    }
    println!("{size} bytes, {ROUNDS} rounds in turn, caches dropped before each.\n");
    println!("| way | median s | fastest to slowest s | time, ours = 1 | goal |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    let ours = median(&mut times[0]);
    for (way, times) in ways.iter().zip(&mut times) {
        let median = median(times);
        println!(
            "| {} | {:.2} | {:.2} to {:.2} | {:.2} | {} |",
            way.name,
            median.as_secs_f64(),
            times[0].as_secs_f64(),
            times[times.len() - 1].as_secs_f64(),
            median.as_secs_f64() / ours.as_secs_f64(),
            way.goal
        );
    }
    println!(
        "\nPeak memory of ours: {} KiB (goal: below 65536).",
        peak_memory()
    );
    for (name, package) in [
        ("systemd-repart", "systemd-repart"),
        ("coreos-installer", "the crate coreos-installer"),
    ] {
        if !is_there(name) {
            println!("Not measured: {name} is not installed ({package}).");
        }
    }
}

/// One way to lay an image down.
struct Way<'a> {
    name: &'static str,
    /// How much longer than ours it should take.
    goal: &'static str,
    run: Box<dyn Fn() + 'a>,
}

fn ways<'a>(image: &'a str, expected: &'a Expected, disk: &'a Loop) -> Vec<Way<'a>> {
    let mut ways = vec![
        Way {
            name: "Bedplate: written, read back, compared",
            goal: "",
            run: Box::new(|| ours(image, expected, &disk.device)),
        },
        Way {
            name: "`dd`, flush, read back by `dd` into `sha256sum`",
            goal: "1.25",
            run: Box::new(|| dd(image, expected, disk.path())),
        },
        Way {
            name: "`unsquashfs` onto ext4, nothing read back",
            goal: "3",
            run: Box::new(|| unsquash(image, disk)),
        },
    ];
    if is_there("systemd-repart") {
        ways.push(Way {
            name: "`systemd-repart` with CopyBlocks, nothing read back",
            goal: "1",
            run: Box::new(|| repart(image, disk)),
        });
    }
    if is_there("coreos-installer") {
        ways.push(Way {
            name: "`coreos-installer`, nothing read back",
            goal: "2",
            run: Box::new(|| coreos(image, disk)),
        });
    }
    ways
}

fn ours(image: &str, expected: &Expected, device: &Path) {
    let mut source = File::open(image).expect("image");
    let mut target = FileDevice::open(device, Access::Exclusive).expect("loop device");
    write_verified(&mut source, expected, &mut target, 0, &mut |_| {}).expect("written");
}

fn dd(image: &str, expected: &Expected, device: &str) {
    run(
        "dd",
        &[
            &format!("if={image}"),
            &format!("of={device}"),
            "bs=4M",
            "conv=fsync",
            "status=none",
        ],
    );
    let back = format!(
        "head -c {} < <(dd if={device} bs=4M iflag=direct status=none 2>/dev/null) | sha256sum",
        expected.size
    );
    let sum = said("bash", &["-c", &back]);
    assert_eq!(
        sum.split(' ').next(),
        Some(hex::encode(expected.sha256).as_str())
    );
}

fn unsquash(image: &str, disk: &Loop) {
    let target = disk.folder.join("target");
    let target = target.to_str().expect("UTF-8");
    fs::create_dir_all(target).expect("folder");
    run("mkfs.ext4", &["-q", "-F", disk.path()]);
    run("mount", &[disk.path(), target]);
    run(
        "unsquashfs",
        &[
            "-quiet",
            "-no-progress",
            "-dest",
            &format!("{target}/root"),
            image,
        ],
    );
    run("umount", &[target]);
}

fn repart(image: &str, disk: &Loop) {
    let definitions = disk.folder.join("repart.d");
    fs::create_dir_all(&definitions).expect("folder");
    fs::write(
        definitions.join("10-root.conf"),
        format!("[Partition]\nType=linux-generic\nCopyBlocks={image}\n"),
    )
    .expect("definition");
    let definitions = format!("--definitions={}", definitions.to_str().expect("UTF-8"));
    run(
        "systemd-repart",
        &[
            "--empty=force",
            "--dry-run=no",
            "--discard=no",
            &definitions,
            disk.path(),
        ],
    );
    // It leaves that to the kernel.
    run("sync", &[disk.path()]);
}

fn coreos(image: &str, disk: &Loop) {
    run(
        "coreos-installer",
        &["install", "--insecure", "--image-file", image, disk.path()],
    );
}

fn default_image() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release-files/root.img")
}

fn is_there(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    found.is_ok_and(|output| output.status.success())
}
