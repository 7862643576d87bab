//! Writes an image of so many MiB to a new file and reads it back: what `ci instructions` counts. `write_image MIB FILE`.

use sha2::{Digest, Sha256};
use slots::block::{Access, FileDevice};
use slots::writer::{Expected, write_verified};
use std::fs::File;
use std::io::Cursor;
use std::path::Path;

fn main() {
    let mut words = std::env::args().skip(1);
    let mib: Option<usize> = words.next().and_then(|word| word.parse().ok());
    let (Some(mib), Some(path)) = (mib, words.next()) else {
        panic!("write_image MIB FILE");
    };
    let image = vec![7; mib << 20];
    let size = image.len() as u64;
    let expected = Expected {
        size,
        sha256: Sha256::digest(&image).into(),
    };
    let path = Path::new(&path);
    File::create_new(path)
        .and_then(|file| file.set_len(size))
        .expect("a new file");
    let mut device = FileDevice::open(path, Access::Exclusive).expect("file");
    write_verified(
        &mut Cursor::new(image),
        &expected,
        &mut device,
        0,
        &mut |_| {},
    )
    .expect("written");
}
