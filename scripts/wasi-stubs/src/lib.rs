//! C symbols that Rust's standard library refers to and Debian 12's wasi-libc (2022) does not have.
//!
//! A filter has no threads and no file system, but libraries refer to them; without these symbols the linker would make
//! them imports, and Envoy refuses a module whose imports it does not know. Making a thread or resolving a path reports
//! that it cannot be had, as with rustup's target; handling a thread's attributes succeeds, because the standard
//! library panics when that fails. Goes when `toolchain.sh` need not support Debian 12 any more.
#![no_std]

use core::ffi::{c_char, c_int, c_void};

const SUCCESS: c_int = 0;
/// WASI's number for "not supported".
const ENOTSUP: c_int = 58;

/// No threads.
#[unsafe(no_mangle)]
pub extern "C" fn pthread_create(
    _thread: *mut c_void,
    _attributes: *const c_void,
    _start: *const c_void,
    _argument: *mut c_void,
) -> c_int {
    ENOTSUP
}

/// No threads.
#[unsafe(no_mangle)]
pub extern "C" fn pthread_detach(_thread: *mut c_void) -> c_int {
    ENOTSUP
}

/// No threads.
#[unsafe(no_mangle)]
pub extern "C" fn pthread_join(_thread: *mut c_void, _value: *mut *mut c_void) -> c_int {
    ENOTSUP
}

/// Only ever followed by [`pthread_create`], which fails.
#[unsafe(no_mangle)]
pub extern "C" fn pthread_attr_init(_attributes: *mut c_void) -> c_int {
    SUCCESS
}

/// Only ever followed by [`pthread_create`], which fails.
#[unsafe(no_mangle)]
pub extern "C" fn pthread_attr_setstacksize(_attributes: *mut c_void, _bytes: usize) -> c_int {
    SUCCESS
}

/// Only ever followed by [`pthread_create`], which fails.
#[unsafe(no_mangle)]
pub extern "C" fn pthread_attr_destroy(_attributes: *mut c_void) -> c_int {
    SUCCESS
}

/// No file system. `errno` keeps its value.
#[unsafe(no_mangle)]
pub extern "C" fn realpath(_path: *const c_char, _resolved: *mut c_char) -> *mut c_char {
    core::ptr::null_mut()
}
