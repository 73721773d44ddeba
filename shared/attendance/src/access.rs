use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// What a key may open. Displayed and parsed as the contract's word.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Display, EnumString, IntoStaticStr, VariantArray,
)]
pub enum Scope {
    /// Recognising faces, and what a camera client must know of the service's settings.
    #[strum(serialize = "recognize")]
    Recognize,
    /// Enrolling pictures.
    #[strum(serialize = "enroll")]
    Enroll,
    /// Seeing who is enrolled.
    #[strum(serialize = "students:read")]
    StudentsRead,
    /// Changing and erasing students.
    #[strum(serialize = "students:write")]
    StudentsWrite,
    /// Reading the attendance book and its reports.
    #[strum(serialize = "attendance:read")]
    AttendanceRead,
    /// Correcting the attendance book.
    #[strum(serialize = "attendance:write")]
    AttendanceWrite,
    /// The inbox of faces that a person has to look at.
    #[strum(serialize = "review")]
    Review,
    /// The WebSocket.
    #[strum(serialize = "watch")]
    Watch,
    /// The events sent to the Attendance API, and sending them again.
    #[strum(serialize = "events")]
    Events,
    /// Keys, audit, settings, and everything else.
    #[strum(serialize = "admin")]
    Admin,
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    #[test]
    fn scopes_are_the_words_of_the_contract() {
        let words: Vec<String> = Scope::VARIANTS.iter().map(Scope::to_string).collect();
        let expected = [
            "recognize",
            "enroll",
            "students:read",
            "students:write",
            "attendance:read",
            "attendance:write",
            "review",
            "watch",
            "events",
            "admin",
        ];
        assert_eq!(words, expected);
        for scope in Scope::VARIANTS {
            assert_eq!(scope.to_string().parse(), Ok(*scope));
        }
        assert!("Watch".parse::<Scope>().is_err() && "".parse::<Scope>().is_err());
    }
}
