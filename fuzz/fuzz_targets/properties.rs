#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla_fuzzing::text::properties(data));
