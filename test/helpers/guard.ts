// What every test file (`require` in ava.config.mjs) and every child process (`guardedEnv`) loads first.
import './loopback-only.js';
import './quick-disk.js';
