//! Any bytes as a case file: read, or refused in one line; and what was read is written and read again alike.
#![no_main]

use conformance::CaseFile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for read in [CaseFile::from_bytes, CaseFile::results_from_bytes] {
        match read(bytes) {
            Ok(file) => {
                let again = read(&file.to_bytes().unwrap()).unwrap();
                assert_eq!(again.cases.len(), file.cases.len());
                for (a, b) in again.cases.iter().zip(&file.cases) {
                    assert_eq!(a.name, b.name);
                    assert!(a.tensors.keys().eq(b.tensors.keys()));
                }
            }
            Err(invalid) => assert_eq!(invalid.to_string().lines().count(), 1),
        }
    }
});
