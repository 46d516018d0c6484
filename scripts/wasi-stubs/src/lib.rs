//! C symbols that Rust's standard library refers to and Debian 12's wasi-libc (2022) does not have.
//!
//! A filter has no threads and no file system, so none of these is ever called; without them the linker would turn
//! them into imports, and Envoy refuses a module whose imports it does not know. Each one reports that the thing
//! cannot be had, as POSIX says for it. Goes when Debian 12 need not be supported by `toolchain.sh` any more.
#![no_std]

use core::ffi::{c_char, c_int, c_void};

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

/// No threads.
#[unsafe(no_mangle)]
pub extern "C" fn pthread_attr_init(_attributes: *mut c_void) -> c_int {
    ENOTSUP
}

/// No threads.
#[unsafe(no_mangle)]
pub extern "C" fn pthread_attr_setstacksize(_attributes: *mut c_void, _bytes: usize) -> c_int {
    ENOTSUP
}

/// No threads.
#[unsafe(no_mangle)]
pub extern "C" fn pthread_attr_destroy(_attributes: *mut c_void) -> c_int {
    ENOTSUP
}

/// No file system.
#[unsafe(no_mangle)]
pub extern "C" fn realpath(_path: *const c_char, _resolved: *mut c_char) -> *mut c_char {
    core::ptr::null_mut()
}
