use super::*;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use slots::block::{BlockDevice, MemoryDevice};
use slots::verity::TreeBuilder;
use std::io::Read;

/// Bytes that cannot be compressed; the same for the same seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn base_of(parts: &[&[u8]]) -> Base {
    parts.iter().fold(Base::new(), |base, part| {
        base.with(Box::new(MemoryDevice::from_bytes(part)))
    })
}

fn made(base: &[&[u8]], target: &[u8]) -> Vec<u8> {
    let mut delta = Vec::new();
    let summary = make_delta(
        &mut base_of(base),
        &mut &target[..],
        target.len() as u64,
        &mut delta,
    )
    .unwrap();
    assert_eq!(summary.delta_size, delta.len() as u64);
    delta
}

fn applied(base: &[&[u8]], delta: &[u8]) -> Result<Vec<u8>, DeltaError> {
    let mut target = Vec::new();
    apply(&mut &delta[..], &mut base_of(base), &mut |bytes| {
        target.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(target)
}

#[test]
fn a_small_change_is_a_small_delta() {
    let base = noise(1, 3_000_000);
    let mut target = base.clone();
    target.splice(1_000_000..1_000_010, noise(2, 4000));
    let delta = made(&[&base], &target);
    assert!(delta.len() < 6000, "{}", delta.len());
    assert_eq!(applied(&[&base], &delta).unwrap(), target);
}

#[test]
fn several_segments_with_everything_moved() {
    // More than two segments and more than one window; 5 MiB inserted in front move all that follows.
    let base = noise(1, 80 << 20);
    let mut target = noise(3, 5 << 20);
    target.extend_from_slice(&base);
    let delta = made(&[&base], &target);
    assert!(delta.len() < (5 << 20) + 20_000, "{}", delta.len());
    let mut whole = Sha256::new();
    apply(&mut &delta[..], &mut base_of(&[&base]), &mut |bytes| {
        whole.update(bytes);
        Ok(())
    })
    .unwrap();
    assert_eq!(whole.finalize(), Sha256::digest(&target));
}

#[test]
fn parts_that_come_from_elsewhere_are_found_behind_the_old_file() {
    let (old, kernel, initrd) = (noise(1, 100_000), noise(2, 300_000), noise(3, 200_000));
    let target = [&old[..50_000], &kernel, &initrd].concat();
    let delta = made(&[&old, &kernel, &initrd], &target);
    assert!(delta.len() < 1000, "{}", delta.len());
    assert_eq!(applied(&[&old, &kernel, &initrd], &delta).unwrap(), target);
}

#[test]
fn nothing_from_something_and_something_from_nothing() {
    for (base, target) in [
        (&b""[..], &b""[..]),
        (b"base", b""),
        (b"", b"target"),
        (b"x", b"x"),
    ] {
        let delta = made(&[base], target);
        assert_eq!(applied(&[base], &delta).unwrap(), target);
    }
}

#[test]
fn another_base_is_told() {
    let (base, target) = (noise(1, 10_000), noise(2, 10_000));
    let delta = made(&[&base], &target);
    assert!(matches!(
        applied(&[&base[..9999]], &delta),
        Err(DeltaError::BaseSize {
            expected: 10_000,
            found: 9999
        })
    ));
    let mut other = base.clone();
    other[77] ^= 1;
    assert!(matches!(
        applied(&[&other], &delta),
        Err(DeltaError::Base { start: 0, .. })
    ));
}

#[test]
fn a_frame_that_wants_more_memory_is_refused() {
    // Without the size of its content, a frame asks for the window that it was made with: 128 MiB here.
    let (base, target) = (noise(1, 1000), noise(2, 100_000));
    let delta = made(&[&base], &target);
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.window_log(27).unwrap();
    io::Write::write_all(&mut encoder, &target).unwrap();
    let frame = encoder.finish().unwrap();
    let mut hostile = delta[..HEADER + RECORD].to_vec();
    hostile[HEADER + 16..HEADER + 20].copy_from_slice(&(frame.len() as u32).to_le_bytes());
    hostile.extend(frame);
    assert!(matches!(
        applied(&[&base], &hostile),
        Err(DeltaError::Damaged { .. })
    ));
}

#[test]
fn a_bomb_ends_at_the_end_of_its_segment() {
    let target = vec![0; 1000];
    let delta = made(&[b"base"], &target);
    let frame = zstd::encode_all(&vec![0; 50 << 20][..], 1).unwrap();
    let mut hostile = delta[..HEADER + RECORD].to_vec();
    hostile[HEADER + 16..HEADER + 20].copy_from_slice(&(frame.len() as u32).to_le_bytes());
    hostile.extend(frame);
    let mut got = 0;
    let result = apply(&mut &hostile[..], &mut base_of(&[b"base"]), &mut |bytes| {
        got += bytes.len();
        Ok(())
    });
    assert!(matches!(result, Err(DeltaError::Damaged { .. })));
    assert!(got <= 1000, "{got}");
}

#[test]
fn the_stream_gives_target_and_tree() {
    let base = noise(1, 200_000);
    let mut target = base.clone();
    target.resize(60 * 4096, 7);
    let delta = made(&[&base], &target);
    let verity = slots::Verity {
        data_blocks: 60,
        salt: "00ff".into(),
        root_hash: "0".repeat(64),
    };
    let tree = || TreeBuilder::new(&verity).unwrap();
    let mut stream = DeltaStream::with_tree(
        Box::new(io::Cursor::new(delta.clone())),
        base_of(&[&base]),
        tree(),
    );
    let mut image = Vec::new();
    stream.read_to_end(&mut image).unwrap();
    let mut expected = tree();
    expected.update(&target);
    let expected = [target.clone(), expected.finish()].concat();
    assert!(image == expected);

    let cut = delta[..delta.len() - 1].to_vec();
    let mut stream = DeltaStream::new(Box::new(io::Cursor::new(cut)), base_of(&[&base]));
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    // A reader that goes away early leaves nobody waiting.
    drop(DeltaStream::new(
        Box::new(io::Cursor::new(delta)),
        base_of(&[&base]),
    ));
}

#[test]
fn a_disk_that_cannot_be_read_is_told() {
    use slots::block::{Fault, FaultyDevice};
    let base = noise(1, 10_000);
    let delta = made(&[&base], &base);
    let broken: Box<dyn BlockDevice + Send> = Box::new(FaultyDevice::new(
        MemoryDevice::from_bytes(&base),
        Some(Fault::ReadError { offset: 5000 }),
    ));
    let result = apply(&mut &delta[..], &mut Base::new().with(broken), &mut |_| {
        Ok(())
    });
    assert!(matches!(result, Err(DeltaError::Io { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_change_comes_back(
        seed in any::<u64>(),
        len in 0usize..20_000,
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..300)), 0..6),
    ) {
        let base = noise(seed, len);
        let mut target = base.clone();
        for (at, bytes) in edits {
            let at = at.index(target.len() + 1);
            let end = (at + bytes.len() / 2).min(target.len());
            target.splice(at..end, bytes);
        }
        prop_assert_eq!(applied(&[&base], &made(&[&base], &target)).unwrap(), target);
    }

    #[test]
    fn damage_is_an_error_and_never_another_target(
        at in any::<prop::sample::Index>(),
        mask in 1u8..,
        cut in any::<bool>(),
    ) {
        let base = noise(1, 5000);
        let mut target = base.clone();
        target.splice(100..300, *b"something else");
        let mut delta = made(&[&base], &target);
        let at = at.index(delta.len());
        if cut { delta.truncate(at) } else { delta[at] ^= mask }
        if let Ok(found) = applied(&[&base], &delta) {
            prop_assert_eq!(found, target);
        }
    }

    #[test]
    fn any_bytes_behind_a_good_head_are_refused_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        base_size in prop_oneof![Just(4u64), any::<u64>()],
        target_size in any::<u64>(),
    ) {
        let mut delta = Header { base_size, target_size }.to_bytes().to_vec();
        delta.extend(bytes);
        prop_assert!(target_size == 0 || applied(&[b"base"], &delta).is_err());
    }
}
