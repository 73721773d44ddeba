use attendance::{Environment, SettingError};

/// Which detector finds the faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detector {
    /// HOG for recognition, where somebody waits; CNN for enrolment, where a missed or tilted face costs more than time,
    /// and for everything if the HOG filters are not installed.
    #[default]
    Auto,
    /// dlib's max-margin CNN.
    Cnn,
    /// dlib's HOG detector, the replaced service's default.
    Hog,
    /// YuNet-s, which finds smaller and more tilted faces than HOG in a fraction of the time.
    Yunet,
}

/// Which sizes of a picture the CNN looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DetectorMode {
    /// Every second level of the pyramid: two thirds of the time. A face between two levels scores a little lower.
    #[default]
    Fast,
    /// Every level, 5/6 of the one before, as the replaced service's library does.
    Exact,
}

/// How faces are found.
#[derive(Debug, Clone)]
pub struct VisionSettings {
    /// `FACE_DETECTOR`.
    pub detector: Detector,
    /// `FACE_DETECTOR_MODE`, for the CNN.
    pub mode: DetectorMode,
    /// `FACE_MIN_SIZE`: the smallest face side, in pixels, that must be found.
    pub min_size: u32,
    /// `ATTENDANCE_THREADS`: compute threads in all.
    pub threads: usize,
}

impl VisionSettings {
    /// Returns the settings in `FACE_DETECTOR`, `FACE_DETECTOR_MODE`, `FACE_MIN_SIZE` and `ATTENDANCE_THREADS`. An absent
    /// variable has its default.
    ///
    /// # Errors
    /// [`SettingError::Invalid`] for the first variable whose value cannot be used.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let detector =
            environment.value("FACE_DETECTOR", Detector::default(), "auto, hog, cnn or yunet", |text| match text {
                "auto" => Some(Detector::Auto),
                "hog" => Some(Detector::Hog),
                "cnn" => Some(Detector::Cnn),
                "yunet" => Some(Detector::Yunet),
                _ => None,
            })?;
        // What each finds at its usual price: HOG with one upsampling, as the replaced service; the CNN without.
        let min_size = if detector == Detector::Cnn { 80 } else { 40 };
        Ok(Self {
            detector,
            mode: environment.value(
                "FACE_DETECTOR_MODE",
                DetectorMode::default(),
                "fast or exact",
                |text| match text {
                    "fast" => Some(DetectorMode::Fast),
                    "exact" => Some(DetectorMode::Exact),
                    _ => None,
                },
            )?,
            min_size: environment.value(
                "FACE_MIN_SIZE",
                min_size,
                "a whole number of pixels from 40 to 2000",
                |text| text.parse().ok().filter(|n| (40..=2000).contains(n)),
            )?,
            threads: environment.value("ATTENDANCE_THREADS", cores, "a whole number from 1 to 1024", |text| {
                text.parse().ok().filter(|n| (1..=1024).contains(n))
            })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: &str) -> Result<VisionSettings, SettingError> {
        VisionSettings::from_environment(&Environment::from([(name, value)]))
    }

    #[test]
    fn absent_variables_have_the_contracts_defaults() {
        let settings = VisionSettings::from_environment(&Environment::default()).unwrap();
        assert_eq!((settings.detector, settings.mode), (Detector::Auto, DetectorMode::Fast));
        assert_eq!(settings.threads, std::thread::available_parallelism().unwrap().get());
        for (detector, min_size) in [("auto", 40), ("hog", 40), ("cnn", 80), ("yunet", 40)] {
            assert_eq!(of("FACE_DETECTOR", detector).unwrap().min_size, min_size, "{detector}");
        }
    }

    #[test]
    fn every_variable_is_read() {
        assert_eq!(of("FACE_DETECTOR", "yunet").unwrap().detector, Detector::Yunet);
        assert_eq!(of("FACE_DETECTOR_MODE", "exact").unwrap().mode, DetectorMode::Exact);
        assert_eq!(of("FACE_MIN_SIZE", "2000").unwrap().min_size, 2000);
        assert_eq!(of("ATTENDANCE_THREADS", "3").unwrap().threads, 3);
    }

    #[test]
    fn a_wrong_value_names_the_variable_the_value_and_what_is_expected() {
        let message = of("FACE_DETECTOR", "best").unwrap_err().to_string();
        assert_eq!(message, "FACE_DETECTOR is `best`; expected auto, hog, cnn or yunet");
        for (name, value) in [
            ("FACE_DETECTOR_MODE", "Fast"),
            ("FACE_MIN_SIZE", "39"),
            ("FACE_MIN_SIZE", "40px"),
            ("ATTENDANCE_THREADS", "0"),
            ("ATTENDANCE_THREADS", "1025"),
        ] {
            let message = of(name, value).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{name} is `{value}`; expected ")), "{message}");
        }
    }
}
