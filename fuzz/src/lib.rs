//! What all programs have in common: no allocation that is larger than any input here can be worth. A length that somebody claims is
//! found so, even if the memory is never touched.

use std::alloc::{GlobalAlloc, Layout, System};

const MOST: usize = 64 << 20;

struct Bounded;

fn hold(size: usize) {
    if size > MOST {
        eprintln!("an allocation of {size} bytes");
        // The fuzzer keeps the input that led here.
        std::process::abort();
    }
}

// SAFETY: it is the system's allocator, or no return.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        hold(layout.size());
        // SAFETY: as the caller says.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        hold(layout.size());
        // SAFETY: as the caller says.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        hold(size);
        // SAFETY: as the caller says.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as the caller says.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static BOUNDED: Bounded = Bounded;
