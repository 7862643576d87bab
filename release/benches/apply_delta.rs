//! Applying a delta, against copying the full image: `cargo bench --package release --bench apply_delta -- OLD [NEW]`.
//!
//! OLD and NEW are folders as `image-build root` leaves them (default for NEW: `target/release-files`). Both ways write the same
//! image to the same loop device without the page cache in between, read it back and compare it, and start with dropped caches,
//! in turn. The old image lies on a loop device as well, as on a host. The delta is made before, by another process, so that the
//! memory that is printed is that of applying alone. Needs root for the loop devices.

#[path = "../../slots/benches/support/mod.rs"]
mod support;

use release::delta::{Base, DeltaStream, make_delta};
use release::{Artifact, Manifest};
use slots::block::{Access, FileDevice};
use slots::verity::{BLOCK, TreeBuilder};
use slots::writer::{Expected, write_verified};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;
use support::{Loop, drop_caches, hash, median, peak_memory, run, said};

const ROUNDS: usize = 5;
/// The first argument of the process that makes the delta.
const MAKE: &str = "make-delta";
/// The first argument of the process that applies it once and prints how much memory that took: rounds in one process leave
/// behind what the allocator kept of those before.
const ONCE: &str = "apply-once";

fn main() {
    let words: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [MAKE, old, new, out] => make(&Pair::open(old.as_ref(), new.as_ref()), out.as_ref()),
        [ONCE, old, new, delta, base, slot] => {
            let pair = Pair::open(old.as_ref(), new.as_ref());
            apply(&pair, delta.as_ref(), base.as_ref(), slot.as_ref());
            println!("{}", peak_memory());
        }
        [old] => measure(&Pair::open(old.as_ref(), &built())),
        [old, new] => measure(&Pair::open(old.as_ref(), new.as_ref())),
        _ => eprintln!(
            "not measured: name the folder of an older release (image-build root leaves one)"
        ),
    }
}

fn built() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release-files")
}

/// Two releases.
struct Pair {
    old: (PathBuf, Manifest),
    new: (PathBuf, Manifest),
}

impl Pair {
    fn open(old: &Path, new: &Path) -> Pair {
        let read = |folder: &Path| {
            let path = folder.join(release::MANIFEST);
            let json = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let manifest = serde_json::from_slice(&json).expect("manifest");
            (folder.to_owned(), manifest)
        };
        Pair {
            old: read(old),
            new: read(new),
        }
    }
}

/// Bytes of a root image without the tree behind it.
fn data(manifest: &Manifest) -> u64 {
    manifest.root.verity.data_blocks * BLOCK
}

fn image(release: &(PathBuf, Manifest)) -> PathBuf {
    release.0.join(Artifact::Root.target_name())
}

fn base(device: &Path, manifest: &Manifest) -> Base {
    let device = FileDevice::open(device, Access::ReadOnly).expect("the old image");
    Base::new().with_len(Box::new(device), data(manifest))
}

fn make(pair: &Pair, out: &Path) {
    let size = data(&pair.new.1);
    let mut target = File::open(image(&pair.new)).expect("image").take(size);
    let mut base = base(&image(&pair.old), &pair.old.1);
    let mut file = File::create(out).expect("delta");
    make_delta(&mut base, &mut target, size, &mut file).expect("delta");
}

fn measure(pair: &Pair) {
    let folder = built().with_file_name("bench-apply-delta");
    let slots = [folder.join("a"), folder.join("b")].map(|folder| Loop::new(&folder));
    let delta = folder.join("delta");
    let this = std::env::current_exe().expect("this program");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let started = Instant::now();
    run(
        &text(&this),
        &[MAKE, &text(&pair.old.0), &text(&pair.new.0), &text(&delta)],
    );
    let made = started.elapsed();
    let new = image(&pair.new);
    let size = fs::metadata(&new).expect("image").len();
    let expected = hash(&text(&new), size);
    run(
        "dd",
        &[
            &format!("if={}", text(&image(&pair.old))),
            &format!("of={}", slots[0].path()),
            "bs=4M",
            "conv=fsync",
            "status=none",
        ],
    );

    let (mut full, mut by_delta) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        drop_caches();
        let started = Instant::now();
        let mut source = File::open(&new).expect("image");
        write(&mut source, &expected, &slots[1].device);
        full.push(started.elapsed());
        drop_caches();
        let started = Instant::now();
        apply(pair, &delta, &slots[0].device, &slots[1].device);
        by_delta.push(started.elapsed());
    }
    let packed = fs::metadata(&delta).expect("delta").len();
    let (full, by_delta) = (median(&mut full), median(&mut by_delta));
    println!(
        "{} to {}, {size} bytes; the delta has {packed} bytes ({:.1} %), made in {:.1} s; {ROUNDS} rounds in turn.\n",
        pair.old.1.version,
        pair.new.1.version,
        packed as f64 * 100.0 / size as f64,
        made.as_secs_f64()
    );
    println!("| way | median s | time, full image = 1 | goal |");
    println!("| --- | ---: | ---: | ---: |");
    let line = |way: &str, time: f64, goal: &str| {
        println!(
            "| {way} | {time:.2} | {:.2} | {goal} |",
            time / full.as_secs_f64()
        );
    };
    line(
        "full image: copied, read back, compared",
        full.as_secs_f64(),
        "",
    );
    line(
        "delta: applied, read back, compared",
        by_delta.as_secs_f64(),
        "2",
    );
    let memory = said(
        &text(&this),
        &[
            ONCE,
            &text(&pair.old.0),
            &text(&pair.new.0),
            &text(&delta),
            slots[0].path(),
            slots[1].path(),
        ],
    );
    println!(
        "\nPeak memory of applying the delta: {} KiB (goal: below 153600).",
        memory.trim()
    );
    drop(slots);
    fs::remove_dir_all(&folder).expect("folder");
}

fn apply(pair: &Pair, delta: &Path, old: &Path, slot: &Path) {
    let root = &pair.new.1.root;
    let expected = Expected::from_hex(root.image_size, &root.image_sha256).expect("SHA-256");
    let mut stream = DeltaStream::with_tree(
        Box::new(File::open(delta).expect("delta")),
        base(old, &pair.old.1),
        TreeBuilder::new(&root.verity).expect("salt"),
    );
    write(&mut stream, &expected, slot);
}

fn write(source: &mut (dyn Read + Send), expected: &Expected, slot: &Path) {
    let mut target = FileDevice::open(slot, Access::Exclusive).expect("loop device");
    write_verified(source, expected, &mut target, 0, &mut |_| {}).expect("written");
}
