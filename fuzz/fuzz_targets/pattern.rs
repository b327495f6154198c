#![no_main]

use ottla_fuzz as _;

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla_fuzzing::text::pattern(data));
