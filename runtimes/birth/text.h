/* A program's code on huge pages. A copy of a process shares those with one entry for two MiB, where it
 * would meet a page fault for each 64 KiB of a file that it runs through, and take them all down again. */
#pragma once

/* Moves what the calling process has mapped of files to execute it, as far as that fills huge pages. Other
 * threads must stand still. 0, also where the system has no huge pages to give; or a negative errno. */
int text_move(void);
