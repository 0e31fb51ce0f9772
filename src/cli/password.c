/* Asking for a password; see password.h. */
#include "cli/password.h"

#include "cli/text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PASSWORD_MAX 1024
#define KEY_INTERRUPT 3
#define KEY_END 4
#define KEY_ERASE 8
#define KEY_ERASE_LINE 21
#define KEY_DELETE 127

void password_free(char **password)
{
        if (*password)
                explicit_bzero(*password, strlen(*password));
        free(*password);
        *password = NULL;
}

/* Bytes up to the end of the line. On a terminal in raw mode the editing keys are ours. */
static int read_line(bool raw, char line[PASSWORD_MAX], struct err *err)
{
        size_t length = 0;
        char key;

        for (;;) {
                ssize_t count = read(STDIN_FILENO, &key, 1);
                if (count < 0 && errno != EINTR)
                        return err_errno(err, -errno, "cannot read the password");
                if (count < 0)
                        continue;
                if (count == 0 || key == '\n' || key == '\r' || (raw && key == KEY_END))
                        break;
                if (raw && key == KEY_INTERRUPT)
                        return err_set(err, -EINTR, "given up");
                if (raw && (key == KEY_ERASE || key == KEY_DELETE))
                        length -= length > 0;
                else if (raw && key == KEY_ERASE_LINE)
                        length = 0;
                else if (length + 1 < PASSWORD_MAX)
                        line[length++] = key;
                else
                        return err_set(err, -E2BIG, "that password is too long");
        }
        line[length] = '\0';
        return length > 0 ? 0 : err_set(err, -EINVAL, "no password was given");
}

int password_read(const char *prompt, char **ret_password, struct err *err)
{
        struct termios before, raw;
        char line[PASSWORD_MAX];
        bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
        int r;

        if (terminal) {
                /* Without signals, so that Ctrl-C cannot leave the terminal mute. */
                raw = before;
                raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG);
                (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
                (void)fprintf(stderr, "%s: ", prompt);
        }
        r = read_line(terminal, line, err);
        if (terminal) {
                (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
                (void)fputc('\n', stderr);
        }
        if (r == 0)
                *ret_password = text_copy(line);
        explicit_bzero(line, sizeof(line));
        return r;
}
