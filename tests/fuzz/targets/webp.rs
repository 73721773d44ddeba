//! Bytes that begin like a WebP: decoding ends, without a panic, in a picture within the limits or a refusal.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // The length of the whole file, as the container has it.
    let length = u32::try_from(data.len() + 4).unwrap_or(u32::MAX).to_le_bytes();
    attendance_fuzz::decodes_or_refuses(&[b"RIFF", &length[..], b"WEBP"].concat(), data);
});
