//! Parity with dlib 20.0.1 to the bit, on pictures made by [`noise`] and [`hills`], recorded in `golden.txt` with its
//! Python package (`dlib.resize_image`, `get_frontal_face_detector().run(picture, upsample, -1.3)`); and on photographs,
//! as far as two JPEG decoders agree.

use attendance_models::ModelName;
use attendance_testkit::sample;
use image::RgbImage;

use super::detector::{HogDetector, HogSearch};
use super::dispatch::SimdLevel;
use super::planes::Planes;
use super::search::strips;
use crate::geometry::{Detection, Rect};

const SEARCH: HogSearch = HogSearch { upsample: 0, adjust: 0.0, min_size: 0 };

fn model() -> Vec<u8> {
    attendance_testkit::models().verify(ModelName::Hog).expect("it was pulled")
}

fn detector() -> HogDetector {
    HogDetector::parse(&model()).unwrap()
}

/// Pixels in colors from Knuth's linear congruential generator, whose upper byte is used.
fn noise(width: u32, height: u32, seed: u64) -> RgbImage {
    let mut state = seed;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    RgbImage::from_fn(width, height, |_, _| [byte(), byte(), byte()].into())
}

/// Noise magnified `scale` times, with straight slopes between: shapes that the detector half believes in.
fn hills(width: u32, height: u32, scale: u32, seed: u64) -> RgbImage {
    let grid = noise(width / scale + 2, height / scale + 2, seed);
    RgbImage::from_fn(width, height, |x, y| {
        let (left, top, right, below) = (x / scale, y / scale, x % scale, y % scale);
        let at = |x, y, channel| u32::from(grid.get_pixel(x, y)[channel]);
        let across = |y, channel| at(left, y, channel) * (scale - right) + at(left + 1, y, channel) * right;
        let blend = |channel| across(top, channel) * (scale - below) + across(top + 1, channel) * below;
        [0, 1, 2].map(|channel| (blend(channel) / (scale * scale)) as u8).into()
    })
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(word: &str) -> T {
    word.parse().unwrap()
}

#[test]
fn resizes_as_dlib_does() {
    let mut cases = 0;
    for line in include_str!("golden.txt").lines().filter(|line| line.starts_with("resize")) {
        let words: Vec<&str> = line.split(' ').collect();
        let picture = Planes::from_rgb(&noise(number(words[1]), number(words[2]), number(words[4])));
        let (width, height): (usize, usize) = (number(words[6]), number(words[7]));
        let resized = SimdLevel::detect().resize(&picture, width, height);
        assert_eq!((resized.width(), resized.height()), (width, height));
        // FNV-1a of the interleaved pixels.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            for channel in 0..3 {
                hash = (hash ^ u64::from(resized.row(channel, y)[x])).wrapping_mul(0x0100_0000_01b3);
            }
        }
        assert_eq!(format!("{hash:016x}"), words[8], "{line}");
        cases += 1;
    }
    assert_eq!(cases, 13);
}

#[test]
fn finds_what_dlib_finds_to_the_bit() {
    let detector = detector();
    let mut lines = include_str!("golden.txt").lines().filter(|line| !line.starts_with("resize"));
    let mut boxes = 0;
    while let Some(line) = lines.next() {
        let words: Vec<&str> = line.split(' ').collect();
        let picture = hills(number(words[1]), number(words[2]), number(words[3]), number(words[4]));
        let expected: Vec<(Detection, usize)> = lines
            .by_ref()
            .take(number(words[8]))
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                let rect = Rect {
                    left: number(words[0]),
                    top: number(words[1]),
                    right: number(words[2]),
                    bottom: number(words[3]),
                };
                let score = f64::from_bits(u64::from_str_radix(words[4], 16).unwrap());
                (Detection { rect, score }, number(words[5]))
            })
            .collect();
        let search = HogSearch { upsample: number(words[6]), adjust: -1.3, min_size: 0 };
        assert_eq!(detector.detect(&picture, &search), expected, "{line}");
        boxes += expected.len();
    }
    assert!(boxes > 50, "{boxes}");
}

#[test]
fn vector_instructions_change_nothing() {
    let detector = detector();
    let [portable, others @ ..] = &SimdLevel::available()[..] else { panic!("one runs everywhere") };
    println!("{others:?}");
    for (width, height, scale) in [(300, 211, 7), (158, 97, 1), (64, 80, 20), (640, 480, 40)] {
        let picture = Planes::from_rgb(&hills(width, height, scale, 5));
        let (width, height) = (width as usize, height as usize);
        for (to_width, to_height) in [(5 * width / 6, 5 * height / 6), (2 * width + 2, 2 * height + 1), (30, 31)] {
            let resized = portable.resize(&picture, to_width, to_height);
            let features = portable.extract(&resized);
            for other in others {
                assert_eq!(resized, other.resize(&picture, to_width, to_height), "{other:?}");
                assert_eq!(features, other.extract(&resized), "{other:?}");
            }
            for strip in strips(features.columns) {
                // Low enough for every window to be compared.
                let search = |level: &SimdLevel| {
                    let mut found = level.search(&features, strip, detector.templates(), -100.0);
                    found.sort_by_key(|window| (window.detector, window.row, window.column));
                    found
                };
                let found = search(portable);
                assert!(found.len() >= 5 * features.rows, "{}", found.len());
                for other in others {
                    assert_eq!(found, search(other), "{other:?}");
                }
            }
        }
    }
}

#[test]
fn the_result_does_not_depend_on_threads() {
    let (detector, picture) = (detector(), hills(400, 380, 23, 3));
    let search = HogSearch { upsample: 1, adjust: -1.5, min_size: 0 };
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| detector.detect(&picture, &search))
    };
    let one = with(1);
    assert!(one.len() > 5, "{}", one.len());
    assert_eq!(one, with(4));
}

#[test]
fn a_larger_minimum_leaves_out_the_smaller_boxes_only() {
    let (detector, picture) = (detector(), hills(400, 380, 23, 3));
    let find = |upsample, min_size| detector.detect(&picture, &HogSearch { upsample, adjust: -1.5, min_size });
    for upsample in [0, 1] {
        let all = find(upsample, 0);
        assert_eq!(find(upsample, 80 >> upsample), all);
        let large = find(upsample, 160);
        let width = |found: &(Detection, usize)| found.0.rect.right - found.0.rect.left + 1;
        assert!(all.iter().any(|found| width(found) < 100), "{all:?}");
        // The finest level left has a window of 138 pixels, whose boxes are 73 / 80 of it.
        assert!(large.iter().all(|found| width(found) >= 120), "{large:?}");
        for found in all.iter().filter(|found| width(found) >= 160) {
            assert!(large.contains(found), "{found:?}");
        }
    }
    assert_eq!(find(0, u32::MAX), []);
}

/// The trimmed boxes (top, right, bottom, left) that the Python package `face_recognition` 1.3.0 finds in its own test
/// pictures. Only the PNG's pixels are the same for every decoder.
const PHOTOGRAPHS: [(&str, i64, [i64; 4]); 7] = [
    ("32bit.png", 0, [290, 438, 558, 171]),
    ("obama2.jpg", 2, [290, 438, 558, 171]),
    ("obama3.jpg", 2, [277, 954, 598, 633]),
    ("obama_partial_face.jpg", 2, [142, 191, 365, 0]),
    ("obama_partial_face2.jpg", 2, [142, 551, 409, 349]),
    ("biden.jpg", 2, [241, 740, 562, 419]),
    ("obama.jpg", 2, [142, 617, 409, 349]),
];

#[test]
fn finds_the_faces_that_the_replaced_service_finds() {
    let detector = detector();
    for (file, tolerance, expected) in PHOTOGRAPHS {
        let picture = image::open(sample(file)).unwrap().to_rgb8();
        let found = detector.detect(&picture, &HogSearch { upsample: 1, ..SEARCH });
        let [(Detection { rect: Rect { left, top, right, bottom }, .. }, _)] = found[..] else {
            panic!("{file}: {found:?}")
        };
        let (width, height) = (i64::from(picture.width()), i64::from(picture.height()));
        let trimmed = [top.max(0), right.min(width), bottom.min(height), left.max(0)];
        for (side, expected) in trimmed.iter().zip(expected) {
            assert!((side - expected).abs() <= tolerance, "{file}: {trimmed:?}");
        }
    }
}

#[test]
fn pictures_without_room_for_a_cell_have_no_faces() {
    let detector = detector();
    for (width, height) in [(0, 0), (0, 9), (1, 1), (2, 500), (500, 2), (11, 11), (12, 20), (20, 20)] {
        for upsample in [0, 1] {
            let search = HogSearch { upsample, adjust: 0.0, min_size: 0 };
            assert_eq!(detector.detect(&RgbImage::new(width, height), &search), []);
        }
    }
}

#[test]
fn other_bytes_are_refused() {
    let model = model();
    assert!(HogDetector::parse(&model).is_ok());
    let error = |bytes: &[u8]| HogDetector::parse(bytes).unwrap_err();
    assert_eq!(error(&[]).to_string(), "face_hog.bin: at byte 0: 1 more bytes were expected, 0 are left");
    assert_eq!(error(&[0]).to_string(), "face_hog.bin: at byte 0: 0x00 does not begin an integer");
    assert_eq!(error(&[1, 3]).to_string(), "face_hog.bin: at byte 0: the detector's version is 3, not 2");
    for end in (0..model.len()).step_by(997).chain([model.len() - 1]) {
        let error = error(&model[..end]);
        assert!(error.what.contains("more bytes were expected"), "{error}");
        // A number that is cut off is named where its bytes begin.
        assert!((end.saturating_sub(7)..=end).contains(&error.offset), "{error} of {end}");
    }
    let longer: Vec<u8> = model.iter().copied().chain([0]).collect();
    let error = error(&longer);
    assert_eq!((error.offset, error.what.as_str()), (model.len(), "the end was expected, 1 bytes are left"));
}

#[test]
fn damaged_files_never_panic() {
    let model = model();
    for (round, [high, low, value]) in noise(300, 1, 7).into_raw().as_chunks().0.iter().copied().enumerate() {
        // Every other one among the fields before the weights.
        let anywhere = 3 * usize::from(u16::from_be_bytes([high, low])) % model.len();
        let at = if round % 2 == 0 { anywhere % 60 } else { anywhere };
        let mut bytes = model.clone();
        bytes[at] = value;
        if let Ok(detector) = HogDetector::parse(&bytes) {
            assert!(!detector.templates().is_empty(), "byte {at} as {value}");
        }
        // Weights where the header should be.
        assert!(at == 0 || HogDetector::parse(&bytes[at..]).is_err(), "from byte {at}");
    }
}
