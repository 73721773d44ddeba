//! Bytes that begin like a PNG: decoding ends, without a panic, in a picture within the limits or a refusal.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| attendance_fuzz::decodes_or_refuses(b"\x89PNG\r\n\x1A\n", data));
