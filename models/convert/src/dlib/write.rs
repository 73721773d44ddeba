//! Writes dlib's primitives, for tests.

pub(super) fn int_bytes(value: i64) -> Vec<u8> {
    let magnitude = value.unsigned_abs().to_le_bytes();
    let length = magnitude.iter().rposition(|&byte| byte != 0).map_or(1, |last| last + 1);
    let sign = if value < 0 { 0x80 } else { 0 };
    let mut bytes = vec![sign | length as u8];
    bytes.extend(&magnitude[..length]);
    bytes
}

pub(super) fn float_bytes(mantissa: i64, exponent: i64) -> Vec<u8> {
    [int_bytes(mantissa), int_bytes(exponent)].concat()
}

pub(super) fn string_bytes(text: &str) -> Vec<u8> {
    [int_bytes(text.len() as i64), text.as_bytes().to_vec()].concat()
}

pub(super) fn alias_bytes(shape: [i64; 4]) -> Vec<u8> {
    [int_bytes(1), shape.map(int_bytes).concat()].concat()
}

pub(super) fn tensor_bytes(shape: [i64; 4], values: &[f32]) -> Vec<u8> {
    let values = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    [int_bytes(2), shape.map(int_bytes).concat(), values].concat()
}
