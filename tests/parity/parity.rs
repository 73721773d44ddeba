//! Our answers beside those of the library that the replaced service used, stage by stage, so that a fault names its
//! stage; then the decisions, on real photographs.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test program")]

mod golden;

use std::io::Cursor;
use std::sync::LazyLock;

use attendance::ports::{Change, EnrollmentId, GalleryVersion, Purpose};
use attendance::{Embedding, Gallery, Label, Scan, StudentId, Tolerance};
use attendance_models::ModelsDir;
use attendance_testkit::{models, sample};
use attendance_vision::stages::{Point, Rect, decode, extract_chip, trimmed};
use attendance_vision::{Detector, DetectorMode, VisionEngine, VisionSettings};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, imageops};

use sha2::{Digest, Sha256};

use golden::golden;

const PNG: &str = "32bit.png";

fn engine(detector: Detector, mode: DetectorMode, min_size: u32) -> VisionEngine {
    VisionEngine::load(&models(), VisionSettings { detector, mode, min_size, threads: 2 }).unwrap()
}

static EXACT: LazyLock<VisionEngine> = LazyLock::new(|| engine(Detector::Cnn, DetectorMode::Exact, 80));
static FAST: LazyLock<VisionEngine> = LazyLock::new(|| engine(Detector::Cnn, DetectorMode::Fast, 80));
static AUTO: LazyLock<VisionEngine> = LazyLock::new(|| engine(Detector::Auto, DetectorMode::Fast, 40));

fn picture(name: &str) -> RgbImage {
    decode(&std::fs::read(sample(name)).unwrap()).unwrap().pixels
}

fn sides(rect: &Rect) -> [i64; 4] {
    [rect.left, rect.top, rect.right, rect.bottom]
}

fn apart(a: [i64; 4], b: [i64; 4]) -> i64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).max().unwrap()
}

fn points(landmarks: &[(f64, f64); 5]) -> [Point; 5] {
    landmarks.map(|(x, y)| Point::new(x, y))
}

#[test]
fn on_the_png_the_cnn_equals_the_peer_stage_by_stage() {
    let golden = golden();
    let pixels = picture(PNG);
    let [face] = golden.images[PNG].cnn.as_slice() else { panic!("one face") };
    let found = EXACT.stages().detect(&pixels, Purpose::Enroll).unwrap();
    let [detection] = found.as_slice() else { panic!("one detection, not {found:?}") };
    assert_eq!(sides(&detection.rect), face.rect, "box");
    assert!((detection.score - face.confidence).abs() < 1e-3, "score {} against {}", detection.score, face.confidence);
    let landmarks = EXACT.stages().landmarks(&pixels, &trimmed(&detection.rect, &pixels));
    assert_eq!(landmarks, points(&face.landmarks), "landmarks");
    let embedding = EXACT.stages().embed(&extract_chip(&pixels, &landmarks)).unwrap();
    let distance = embedding.distance(&face.embedding());
    println!("embedding of the PNG: {distance:e} from the peer's");
    assert!(distance < 1e-3, "embedding is {distance} from the peer's");
}

#[test]
fn on_the_png_hog_equals_the_peer_stage_by_stage() {
    let golden = golden();
    let pixels = picture(PNG);
    let [face] = golden.images[PNG].hog.as_slice() else { panic!("one face") };
    let found = AUTO.stages().detect(&pixels, Purpose::Recognize).unwrap();
    let [detection] = found.as_slice() else { panic!("one detection, not {found:?}") };
    let rect = trimmed(&detection.rect, &pixels);
    let [top, right, bottom, left] = face.sides;
    assert_eq!(sides(&rect), [left, top, right, bottom].map(i64::from), "box");
    let landmarks = AUTO.stages().landmarks(&pixels, &rect);
    assert_eq!(landmarks, points(&face.landmarks), "landmarks");
    let chip = extract_chip(&pixels, &landmarks);
    // dlib.get_face_chip(pixels, landmarks, 150, 0.25), of a face that is halved once on the way.
    assert_eq!(sha256(&chip), "694fc93a9f0bb0732e216f605d0a3c28ac5dbf52300a2517e7df6fced71dfa41", "chip");
    let distance = AUTO.stages().embed(&chip).unwrap().distance(&face.embedding());
    assert!(distance < 1e-3, "embedding is {distance} from the peer's");
}

/// The picture made smaller, each pixel the rounded mean of `n` x `n`.
fn shrunk(picture: &RgbImage, n: u32) -> RgbImage {
    RgbImage::from_fn(picture.width() / n, picture.height() / n, |x, y| {
        let block = (0..n * n).map(|i| picture.get_pixel(x * n + i % n, y * n + i / n).0.map(u32::from));
        let sum = block.fold([0; 3], |sum, pixel| std::array::from_fn(|c| sum[c] + pixel[c]));
        Rgb(sum.map(|sum| ((sum + n * n / 2) / (n * n)) as u8))
    })
}

/// The SHA-256 of the pixels' bytes, in hex.
fn sha256(picture: &RgbImage) -> String {
    Sha256::digest(picture.as_raw()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn small_faces_and_several_are_found_and_cut_out_as_the_peer_does() {
    let face = picture(PNG);
    let mut frame = RgbImage::from_pixel(640, 480, Rgb([128; 3]));
    imageops::replace(&mut frame, &shrunk(&face, 3), 10, 20);
    imageops::replace(&mut frame, &imageops::flip_horizontal(&shrunk(&face, 4)), 260, 100);
    imageops::replace(&mut frame, &shrunk(&face, 6), 450, 200);
    let recorded_on = "ac67d55676b0fc0e7bf0ff607d33bb47821ae559b0ff091ffd31bd38dbc7ba6a";
    assert_eq!(sha256(&frame), recorded_on, "the peer's answers were recorded on these pixels");

    // face_recognition 1.3.0 on dlib 20.0.1: top, right, bottom, left with one upsampling, best first, and the chip's SHA-256.
    let recorded = [
        ([171, 378, 246, 303], "5c1335ba13158df502baa2a4f494dab4baf48496e2e677318cbe4824d1d26805"),
        ([245, 527, 297, 475], "92ebd230d3ac3a6c0d89cf17045085238c8ca91dacaa7bf001cc3fcbd3e3efe5"),
        ([116, 163, 223, 55], "b24db416fef60d1328df98a64bf4bf13a0a33c0807c8fb49e912a9762296d4ca"),
    ];
    let boxes = |engine: &VisionEngine| -> Vec<Rect> {
        let found = engine.stages().detect(&frame, Purpose::Recognize).unwrap();
        found.iter().map(|detection| trimmed(&detection.rect, &frame)).collect()
    };
    let found = boxes(&AUTO);
    assert_eq!(found.len(), recorded.len(), "{found:?}");
    for (rect, (sides, chip)) in found.iter().zip(recorded) {
        assert_eq!([rect.top, rect.right, rect.bottom, rect.left], sides);
        assert_eq!(sha256(&extract_chip(&frame, &AUTO.stages().landmarks(&frame, rect))), chip, "chip of {sides:?}");
    }
    // The same without: the smallest is not found, the others a little elsewhere.
    let found = boxes(&engine(Detector::Auto, DetectorMode::Fast, 80));
    let sides: Vec<_> = found.iter().map(|rect| [rect.top, rect.right, rect.bottom, rect.left]).collect();
    assert_eq!(sides, [[173, 373, 245, 301], [123, 169, 227, 65]]);
}

#[test]
fn yunet_finds_each_face_that_the_peer_does_and_describes_it_alike() {
    let engine = engine(Detector::Yunet, DetectorMode::Fast, 40);
    for (name, expected) in golden().images {
        let pixels = picture(&name);
        let found = engine.stages().detect(&pixels, Purpose::Recognize).unwrap();
        let found: Vec<Rect> = found.iter().map(|detection| trimmed(&detection.rect, &pixels)).collect();
        for face in &expected.hog {
            let [top, right, bottom, left] = face.sides;
            let [left, top, right, bottom] = [left, top, right, bottom].map(i64::from);
            let peer = Rect { left, top, right, bottom };
            let overlap = |rect: &Rect| {
                let common = rect.intersection(&peer).area() as f64;
                common / (rect.area() as f64 + peer.area() as f64 - common)
            };
            let best = found.iter().max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
            let best = best.unwrap_or_else(|| panic!("no face in {name}"));
            assert!(overlap(best) > 0.5, "{name}: {best:?} is not {peer:?}");
            let chip = extract_chip(&pixels, &engine.stages().landmarks(&pixels, best));
            let distance = engine.stages().embed(&chip).unwrap().distance(&face.embedding());
            println!("{name}: overlap {:.2}, embedding {distance:.3} from the peer's", overlap(best));
            assert!(distance < 0.3, "{name}: the embedding is {distance} from the peer's");
        }
    }
}

#[test]
fn without_hogs_filters_the_cnn_recognises_too() {
    let folder = tempfile::TempDir::new().unwrap();
    for name in ["face_detector.onnx", "face_embedder.onnx", "face_landmarks.bin"] {
        std::os::unix::fs::symlink(models().path().canonicalize().unwrap().join(name), folder.path().join(name))
            .unwrap();
    }
    let settings = VisionSettings { detector: Detector::Auto, mode: DetectorMode::Fast, min_size: 40, threads: 2 };
    let engine = VisionEngine::load(&ModelsDir::new(folder.path()), settings.clone()).unwrap();
    assert!(engine.describe_detectors().contains("models pull hog"), "{}", engine.describe_detectors());
    let scan = engine.scan_blocking(&std::fs::read(sample("obama2.jpg")).unwrap(), Purpose::Recognize).unwrap();
    assert_eq!((scan.faces.len(), scan.min_size), (1, 80));
    assert!(
        VisionEngine::load(&ModelsDir::new(folder.path()), VisionSettings { detector: Detector::Hog, ..settings })
            .is_err()
    );
}

#[test]
fn on_jpegs_boxes_and_embeddings_are_close_to_the_peers() {
    // The JPEG decoder differs by up to 5 levels a pixel, which moves a landmark by a pixel or two.
    for (name, expected) in golden().images {
        let pixels = picture(&name);
        let describe = |rect: &Rect| {
            let landmarks = EXACT.stages().landmarks(&pixels, &trimmed(rect, &pixels));
            EXACT.stages().embed(&extract_chip(&pixels, &landmarks)).unwrap()
        };
        let cnn = EXACT.stages().detect(&pixels, Purpose::Enroll).unwrap();
        assert_eq!(cnn.len(), expected.cnn.len(), "{name}: faces by CNN");
        for (ours, theirs) in cnn.iter().zip(&expected.cnn) {
            let distance = describe(&ours.rect).distance(&theirs.embedding());
            println!("{name}: CNN box {} px, embedding {distance:.4}", apart(sides(&ours.rect), theirs.rect));
            assert!(apart(sides(&ours.rect), theirs.rect) <= 2, "{name}: CNN {:?}, {:?}", ours.rect, theirs.rect);
            assert!(distance < 0.1, "{name}: embedding is {distance} from the peer's");
        }
        let hog = AUTO.stages().detect(&pixels, Purpose::Recognize).unwrap();
        assert_eq!(hog.len(), expected.hog.len(), "{name}: faces by HOG");
        for (ours, theirs) in hog.iter().zip(&expected.hog) {
            let rect = trimmed(&ours.rect, &pixels);
            let [top, right, bottom, left] = theirs.sides;
            let theirs_rect = [left, top, right, bottom].map(i64::from);
            let distance = describe(&rect).distance(&theirs.embedding());
            println!("{name}: HOG box {} px, embedding {distance:.4}", apart(sides(&rect), theirs_rect));
            assert!(apart(sides(&rect), theirs_rect) <= 2, "{name}: HOG {rect:?}, {theirs_rect:?}");
            assert!(distance < 0.1, "{name}: embedding is {distance} from the peer's");
        }
    }
}

fn student(id: &str) -> StudentId {
    StudentId::parse(id).unwrap()
}

fn one_face(engine: &VisionEngine, name: &str, purpose: Purpose) -> Embedding {
    let scan = engine.scan_blocking(&std::fs::read(sample(name)).unwrap(), purpose).unwrap();
    let [face] = scan.faces.as_slice() else { panic!("{name}: {} faces", scan.faces.len()) };
    face.embedding.clone()
}

fn enrolled(engine: &VisionEngine) -> Gallery {
    let add = |id: &str, file| Change::Add {
        id: EnrollmentId::generate(),
        student: student(id),
        embeddings: vec![one_face(engine, file, Purpose::Enroll)],
    };
    Gallery::default().with_changes(vec![add("obama", "obama.jpg"), add("biden", "biden.jpg")], GalleryVersion(vec![1]))
}

fn tolerance() -> Tolerance {
    Tolerance::new(0.45).unwrap()
}

#[test]
fn decisions_are_those_of_the_peer() {
    let golden = golden();
    let golden_distance = |name: &str, engine: &str| {
        let picture = |name: &str| &golden.images[name];
        match engine {
            "auto" => picture(name).hog[0].embedding().distance(&picture("obama.jpg").hog[0].embedding()),
            _ => picture(name).cnn[0].embedding().distance(&picture("obama.jpg").cnn[0].embedding()),
        }
    };
    for (which, engine) in [("exact", &EXACT), ("fast", &FAST), ("auto", &AUTO)] {
        let gallery = enrolled(engine);
        for name in ["obama2.jpg", "obama3.jpg", PNG, "obama_partial_face.jpg", "obama_partial_face2.jpg"] {
            let identity = gallery.identify(&one_face(engine, name, Purpose::Recognize), tolerance());
            let (distance, expected) = (identity.distance.unwrap(), golden_distance(name, which));
            println!("{which}: {name}: {distance:.4}, the peer {expected:.4}");
            assert_eq!(identity.label, Label::Student(student("obama")), "{which}: {name} at {distance}");
            assert!((distance - expected).abs() < 0.05, "{which}: {name}: {distance} against {expected}");
        }
    }
}

#[test]
fn two_people_side_by_side_are_both_named() {
    let (left, right) = (picture("biden.jpg"), picture("obama.jpg"));
    let mut both = RgbImage::from_pixel(left.width() + right.width(), left.height().max(right.height()), Rgb([90; 3]));
    imageops::replace(&mut both, &left, 0, 0);
    imageops::replace(&mut both, &right, i64::from(left.width()), 0);
    let bytes = encoded(both, ImageFormat::Png);
    for engine in [&EXACT, &FAST, &AUTO] {
        let gallery = enrolled(engine);
        let scan = engine.scan_blocking(&bytes, Purpose::Recognize).unwrap();
        let mut seen: Vec<(i32, String)> = scan
            .faces
            .iter()
            .map(|f| (f.face_box.left, gallery.identify(&f.embedding, tolerance()).label.to_string()))
            .collect();
        seen.sort();
        let names: Vec<&str> = seen.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["biden", "obama"]);
    }
}

fn encoded(image: RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(image).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn no_face_is_seen_where_there_is_none() {
    // Hills under a sky, with a path and a few trees; then one colour; then noise.
    let landscape = RgbImage::from_fn(640, 480, |x, y| {
        let hill = 240.0 + 60.0 * (f64::from(x) / 90.0).sin() + 25.0 * (f64::from(x) / 31.0).cos();
        let tree = (x / 8) % 17 == 3 && f64::from(y) > hill - 40.0 && f64::from(y) < hill;
        match f64::from(y) {
            _ if tree => Rgb([40, 60 + (x % 13) as u8 * 3, 30]),
            v if v < hill => Rgb([120 + (y / 4) as u8, 160 + (y / 5) as u8, 235]),
            _ => Rgb([60 + ((x * 7 + y * 13) % 23) as u8, 120 + ((x * 5 + y * 3) % 31) as u8, 50]),
        }
    });
    let blank = RgbImage::from_pixel(640, 480, Rgb([128; 3]));
    let mut state = 1u32;
    let noise = RgbImage::from_fn(640, 480, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
    });
    for (what, image) in [("landscape", landscape), ("blank", blank), ("noise", noise)] {
        let bytes = encoded(image, ImageFormat::Png);
        for engine in [&EXACT, &FAST, &AUTO] {
            assert!(engine.scan_blocking(&bytes, Purpose::Recognize).unwrap().faces.is_empty(), "{what}");
        }
    }
}

#[test]
fn the_eight_orientations_of_a_photograph_are_one_picture() {
    let upright = picture("obama2.jpg");
    let turned = |orientation: u16| {
        let stored = match orientation {
            1 => upright.clone(),
            2 => imageops::flip_horizontal(&upright),
            3 => imageops::rotate180(&upright),
            4 => imageops::flip_vertical(&upright),
            5 => imageops::flip_horizontal(&imageops::rotate90(&upright)),
            6 => imageops::rotate270(&upright),
            7 => imageops::flip_horizontal(&imageops::rotate270(&upright)),
            _ => imageops::rotate90(&upright),
        };
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation as u8, 0, 0, 0, 0, 0, 0, 0]);
        image::ImageEncoder::set_exif_metadata(&mut encoder, exif).unwrap();
        encoder.encode_image(&stored).unwrap();
        bytes
    };
    let gallery = enrolled(&AUTO);
    let scans: Vec<Scan> = (1..=8).map(|o| AUTO.scan_blocking(&turned(o), Purpose::Recognize).unwrap()).collect();
    let first: [i32; 4] = scans[0].faces[0].face_box.into();
    for (scan, orientation) in scans.iter().zip(1..) {
        let [face] = scan.faces.as_slice() else { panic!("orientation {orientation}: {} faces", scan.faces.len()) };
        assert_eq!((scan.size.width, scan.size.height), upright.dimensions());
        let sides: [i32; 4] = face.face_box.into();
        let worst = first.iter().zip(sides).map(|(a, b)| (a - b).abs()).max().unwrap();
        assert!(worst <= 3, "orientation {orientation}: {sides:?} against {first:?}");
        assert_eq!(gallery.identify(&face.embedding, tolerance()).label, Label::Student(student("obama")));
    }
}
