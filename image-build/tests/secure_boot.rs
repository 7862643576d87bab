//! Keys of Secure Boot and what is signed with them.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use image_build::measured_boot::predict;
use image_build::secure_boot::{
    BootKeys, Enrolled, Signer, VARIABLES, detached_signature, image_hash, public_key,
    sign_program, signed_variables,
};
use release::verify_boot_file;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

const TIME: u64 = 1_763_769_600;

fn keys() -> (TempDir, BootKeys) {
    let dir = TempDir::new().unwrap();
    BootKeys::generate(dir.path(), TIME).unwrap();
    let keys = BootKeys::read(dir.path()).unwrap();
    (dir, keys)
}

/// A PE32+ program: headers, two sections that do not lie in the order of the table, and four bytes behind them.
fn program() -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x40;
    bytes[0x40..0x44].copy_from_slice(b"PE\0\0");
    let mut put = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    put(0x46, 2); // sections
    put(0x54, 240); // size of the optional header
    put(0x58, 0x20b);
    put(0x58 + 60, 0x400); // size of the headers
    put(0x58 + 64, 0x1234_5678); // checksum
    put(0x58 + 108, 16); // directory entries
    for (index, start) in [0x600, 0x400].into_iter().enumerate() {
        let header = 0x58 + 240 + index * 40;
        put(header + 16, 0x200);
        put(header + 20, start);
    }
    bytes.extend([0x11; 0x200]);
    bytes.extend([0x22; 0x200]);
    bytes.extend([0x33; 4]);
    bytes
}

#[test]
fn private_keys_are_for_their_owner_only_and_never_written_over() {
    let (dir, keys) = keys();
    for name in ["PK", "KEK", "db"] {
        let path = dir.path().join(format!("secure-boot/{name}.key"));
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    assert!(BootKeys::generate(dir.path(), TIME).is_err());
    assert_eq!(BootKeys::read(dir.path()).unwrap().owner(), keys.owner());
}

#[test]
fn a_program_has_the_same_hash_with_and_without_its_signature() {
    let (_dir, keys) = keys();
    let mut unsigned = program();
    // Signing fills up to 8 bytes, and what it adds is hashed.
    unsigned.resize(unsigned.len().next_multiple_of(8), 0);
    let signed = sign_program(&keys.database, TIME, &unsigned).unwrap();
    assert_eq!(image_hash(&signed).unwrap(), image_hash(&unsigned).unwrap());
    let last = unsigned.len() - 1;
    unsigned[last] ^= 1;
    assert_ne!(image_hash(&signed).unwrap(), image_hash(&unsigned).unwrap());
    let behind = [&signed[..], b"x"].concat();
    assert!(image_hash(&behind).is_err());
}

#[test]
fn what_is_enrolled_is_what_stands_behind_the_signature() {
    let (_dir, keys) = keys();
    let signed = signed_variables(&keys, TIME).unwrap();
    let content = |name: &str| {
        let found = signed.iter().find(|(known, _)| *known == name);
        Ok(found.unwrap().1.clone())
    };
    let enrolled = Enrolled::of(content).unwrap();
    for (name, signer) in [
        ("db", &keys.database),
        ("KEK", &keys.exchange),
        ("PK", &keys.platform),
    ] {
        let variable = enrolled.variable(name).unwrap();
        let owner = keys.owner().to_bytes_le();
        let expected = [&owner[..], signer.certificate()].concat();
        assert_eq!(variable.entry().unwrap(), expected, "{name}");
    }
    assert!(enrolled.variable("dbx").is_err());
    assert!(Enrolled::of(|_| Ok(vec![0; 24])).is_err());
}

#[test]
fn the_registers_change_with_programs_and_keys_and_with_nothing_else() {
    let (_dir, keys) = keys();
    let (_other_dir, others) = self::keys();
    let enrolled = |keys| {
        let signed = signed_variables(keys, TIME).unwrap();
        Enrolled::of(|name| Ok(signed.iter().find(|(n, _)| *n == name).unwrap().1.clone())).unwrap()
    };
    let predicted = |program: &[u8], keys| {
        let [programs, policy] = predict(program, program, &enrolled(keys)).unwrap();
        assert_eq!((programs.number, policy.number), (4, 7));
        (programs.value, policy.value)
    };
    let one = predicted(&program(), &keys);
    let mut changed = program();
    changed[0x450] ^= 1;
    let two = predicted(&changed, &keys);
    assert!(one.0 != two.0 && one.1 == two.1);
    let three = predicted(&program(), &others);
    assert!(one.0 == three.0 && one.1 != three.1);
}

#[test]
fn a_key_without_its_certificate_is_refused() {
    let (dir, _) = keys();
    let folder = dir.path().join("secure-boot");
    std::fs::copy(folder.join("KEK.crt"), folder.join("db.crt")).unwrap();
    let error = BootKeys::read(dir.path()).err().unwrap().to_string();
    assert!(
        error.contains("db.crt is not the certificate of") && error.contains("db.key"),
        "{error}"
    );
}

#[test]
fn equal_input_and_keys_give_equal_bytes() {
    let (_dir, keys) = keys();
    let program = program();
    let sign = |time| sign_program(&keys.database, time, &program).unwrap();
    assert_eq!(sign(TIME), sign(TIME));
    assert_ne!(sign(TIME), sign(TIME + 1));
    let detached = || detached_signature(&keys.database, TIME, &program).unwrap();
    assert_eq!(detached(), detached());
    assert_eq!(
        signed_variables(&keys, TIME).unwrap(),
        signed_variables(&keys, TIME).unwrap()
    );
}

#[test]
fn a_host_takes_boot_files_as_grub_does() {
    let (_dir, keys) = keys();
    let signature = detached_signature(&keys.database, TIME, b"kernel").unwrap();
    let verify =
        |by: &Signer, data: &[u8]| verify_boot_file(by.public_key(), data.to_vec(), &signature);
    assert_eq!(verify(&keys.database, b"kernel"), Ok(b"kernel".to_vec()));
    for (by, data) in [
        (&keys.database, b"kernel ".as_slice()),
        (&keys.database, b"kernal"),
        (&keys.exchange, b"kernel"),
    ] {
        assert!(verify(by, data).is_err());
    }
}

#[test]
fn a_signed_program_is_the_program_with_a_signature_behind_it() {
    let (_dir, keys) = keys();
    let program = program();
    let signed = sign_program(&keys.database, TIME, &program).unwrap();
    let entry = program.len().next_multiple_of(8);
    let directory = 0x58 + 112 + 32;
    let number = |at: usize| u32::from_le_bytes(signed[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(number(directory), entry);
    assert_eq!(number(directory + 4), signed.len() - entry);
    assert_eq!(number(entry), signed.len() - entry);
    assert_eq!(signed.len() % 8, 0);
    let mut same = signed[..program.len()].to_vec();
    same[directory..directory + 8].fill(0);
    assert_eq!(same, program);
    // A second signature would have to go beside the first one.
    assert!(sign_program(&keys.database, TIME, &signed).is_err());
    for broken in [&program[..0x300], &program[..0x500], b"MZ".as_slice()] {
        assert!(sign_program(&keys.database, TIME, broken).is_err());
    }
}

/// Where the signature of a program says what its hash is.
fn hash_in(signed: &[u8]) -> &[u8] {
    // DigestInfo: SEQUENCE { SEQUENCE { sha256, NULL }, OCTET STRING of 32 bytes }.
    let start = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
    let at = signed
        .windows(start.len())
        .position(|window| window == start)
        .unwrap();
    &signed[at + start.len()..][..32]
}

#[test]
fn every_byte_counts_but_checksum_and_place_of_the_signature() {
    let (_dir, keys) = keys();
    let program = program();
    let hash =
        |program: &[u8]| hash_in(&sign_program(&keys.database, TIME, program).unwrap()).to_owned();
    let whole = hash(&program);
    for at in [0x20, 0x200, 0x400, 0x5ff, 0x600, 0x7ff, 0x803] {
        let mut changed = program.clone();
        changed[at] ^= 1;
        assert_ne!(hash(&changed), whole, "byte {at:#x}");
    }
    let mut changed = program.clone();
    changed[0x58 + 64] ^= 1;
    assert_eq!(hash(&changed), whole);
}

#[test]
fn grub_can_check_a_detached_signature_with_the_public_key() {
    let (_dir, keys) = keys();
    let key = public_key(&keys.database);
    // Tag 6, two bytes of length, version 4, time, RSA; then modulus and exponent with their lengths in bits.
    assert_eq!((key[0], key[3], key[8]), (0x99, 4, 1));
    assert_eq!(key[9..11], 2048_u16.to_be_bytes());
    let (n, e) = (&key[11..267], &key[269..]);
    assert_eq!(e, [1, 0, 1]);
    let data = b"some file";
    let packet = detached_signature(&keys.database, TIME, data).unwrap();
    let body = &packet[3..];
    let hashed = usize::from(u16::from_be_bytes([body[4], body[5]]));
    let head = &body[..6 + hashed];
    let message = [
        data,
        head,
        &[4, 0xff],
        (head.len() as u32).to_be_bytes().as_slice(),
    ]
    .concat();
    // The last number of the packet; one with leading zeros is shorter.
    let at = head.len() + 2 + 10 + 2;
    let bits = usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
    let signature = &body[at + 2..];
    assert_eq!(signature.len(), bits.div_ceil(8));
    let padded = [vec![0; 256 - signature.len()], signature.to_vec()].concat();
    let public = RsaPublicKeyComponents { n, e };
    let check = |message: &[u8]| public.verify(&RSA_PKCS1_2048_8192_SHA256, message, &padded);
    check(&message).unwrap();
    assert!(check(&message[1..]).is_err());
}

#[test]
fn variables_carry_the_certificates_and_come_in_the_order_of_writing() {
    let (_dir, keys) = keys();
    let variables = signed_variables(&keys, TIME).unwrap();
    assert_eq!(variables.each_ref().map(|(name, _)| *name), VARIABLES);
    let certificates = [&keys.database, &keys.exchange, &keys.platform];
    for ((name, content), signer) in variables.iter().zip(certificates) {
        // 2025-11-22 00:00:00.
        assert_eq!(content[..8], [0xe9, 0x07, 11, 22, 0, 0, 0, 0], "{name}");
        let length = u32::from_le_bytes(content[16..20].try_into().unwrap()) as usize;
        let list = &content[16 + length..];
        assert_eq!(list[16..20], (list.len() as u32).to_le_bytes(), "{name}");
        assert_eq!(&list[28..44], keys.owner().to_bytes_le(), "{name}");
        assert_eq!(&list[44..], signer.certificate(), "{name}");
    }
}
