//! Detached signatures of boot files, as GRUB checks them: OpenPGP (RFC 9580, packets of version 4), RSA with SHA-256 over the
//! whole file.
//!
//! `image-build` makes them. Whoever starts a kernel from the ESP without GRUB has to check them himself: the ESP is the one
//! place on a host's disk that nothing else verifies.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

/// Packet tag of a signature in the old format with a length of two bytes.
const SIGNATURE_PACKET: u8 = 0x80 | 2 << 2 | 1;
/// Version 4, over a binary document, RSA, SHA-256.
const KIND: [u8; 4] = [4, 0, 1, 8];

/// Checks that `signature` is that of `data`, and gives the data back. `key` is an RSA public key in DER (PKCS #1) of a
/// multiple of 512 bits.
///
/// # Errors
/// In words, when it is no signature of this kind, or not by this key, or not of these data.
pub fn verify_boot_file(
    key: &[u8],
    mut data: Vec<u8>,
    signature: &[u8],
) -> Result<Vec<u8>, &'static str> {
    let (hashed, number) =
        parse(signature).ok_or("its signature is none that a release comes with")?;
    let bytes = data.len();
    data.extend_from_slice(hashed);
    data.extend_from_slice(&[4, 0xff]);
    data.extend_from_slice(&(hashed.len() as u32).to_be_bytes());
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
        .verify(&data, &number)
        .map_err(|_| "it is not what the release was signed with")?;
    data.truncate(bytes);
    Ok(data)
}

/// The part of a signature that is signed as well, and the number that is the signature proper, as long as the modulus of an
/// RSA key of a whole number of 64 bytes.
fn parse(packet: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let (tag, rest) = packet.split_first()?;
    let (length, body) = rest.split_first_chunk()?;
    if *tag != SIGNATURE_PACKET
        || body.len() != usize::from(u16::from_be_bytes(*length))
        || !body.starts_with(&KIND)
    {
        return None;
    }
    let subpackets = |at: usize| -> Option<usize> {
        let length = body.get(at..at + 2)?.try_into().ok()?;
        Some(at + 2 + usize::from(u16::from_be_bytes(length)))
    };
    let hashed_end = subpackets(KIND.len())?;
    let unhashed_end = subpackets(hashed_end)?;
    // Two bytes of the hash, for a quick look; then a multiprecision integer: its length in bits, and its bytes.
    let (bits, digits) = body.get(unhashed_end + 2..)?.split_first_chunk()?;
    if digits.len() != usize::from(u16::from_be_bytes(*bits)).div_ceil(8) {
        return None;
    }
    // A number has no leading zeros, and an RSA signature has.
    let mut number = vec![0; digits.len().next_multiple_of(64) - digits.len()];
    number.extend_from_slice(digits);
    Some((body.get(..hashed_end)?, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl dgst -sha256 -sign` over the word and the trailer of RFC 9580, section 5.2.4.
    const KEY: &[u8] = include_bytes!("../tests/boot-signature/boot-files.der");
    const SIGNATURE: &[u8] = include_bytes!("../tests/boot-signature/kernel.sig");

    /// Those of a release are tested where they are made, too: `image-build/tests/secure_boot.rs`.
    #[test]
    fn what_was_signed_is_taken_and_nothing_else() {
        let verify =
            |data: &[u8], signature: &[u8]| verify_boot_file(KEY, data.to_vec(), signature);
        assert_eq!(verify(b"kernel", SIGNATURE), Ok(b"kernel".to_vec()));
        for data in [b"kernal".as_slice(), b"kernel ", b"kerne", b""] {
            assert!(verify(data, SIGNATURE).is_err());
        }
        // Behind the tag, the part that is not signed and the first bytes of the hash, every bit counts.
        for at in [3, 9, 12, 40, SIGNATURE.len() - 1] {
            let mut changed = SIGNATURE.to_vec();
            changed[at] ^= 1;
            assert!(verify(b"kernel", &changed).is_err(), "{at}");
        }
    }

    #[test]
    fn what_is_no_signature_is_refused_and_never_a_panic() {
        let mut body = [KIND.as_slice(), &[0, 0, 0, 0, 0xaa, 0xbb, 0, 9, 1, 2]].concat();
        let mut packet = vec![SIGNATURE_PACKET, 0, body.len() as u8];
        packet.append(&mut body);
        let (hashed, number) = parse(&packet).unwrap();
        assert_eq!(hashed, [4, 0, 1, 8, 0, 0]);
        assert_eq!((number.len(), &number[62..]), (64, [1, 2].as_slice()));
        for length in 0..packet.len() {
            assert!(parse(&packet[..length]).is_none(), "{length}");
        }
        for at in 0..packet.len() {
            let mut wrong = packet.clone();
            wrong[at] = 0xff;
            let _ = parse(&wrong);
        }
        let refused = verify_boot_file(b"", b"data".to_vec(), &packet);
        assert!(refused.unwrap_err().contains("signed with"));
    }
}
