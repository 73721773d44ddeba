//! Bytes that begin like a JPEG: decoding ends, without a panic, in a picture within the limits or a refusal.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| attendance_fuzz::decodes_or_refuses(b"\xFF\xD8\xFF", data));
