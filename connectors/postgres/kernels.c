/* The inner loops of reading a binary copy: see compiled.py, which is their only caller.

   Every address is read behind a check that it lies within the bytes that came. What is not plain
   is not judged here: REFUSED hands it to the numpy code that these loops stand in for. */

#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define REFUSED (-1)

enum { END, ENOUGH, WAIT, LARGER, LOST };

/* Naps in a row before the caller waits for the socket, and looks whether it is to end. */
enum { PATIENCE = 40, NAP_US = 300 };

struct libpq {
    int (*get)(void *connection, char **message, int async);
    void (*free)(void *message);
    int (*consume)(void *connection);
};

struct state {
    char *held; /* a message that is libpq's still */
    int64_t length, used, count;
};

/* Copies messages one behind the other until they are enough bytes, or as many as sizes has room
   for. With nothing there it naps, and does not wait for the socket: else both sides would be
   woken for every few kilobytes that the server sends. */
int64_t pump(const struct libpq *libpq, void *connection, int socket, struct state *state,
             char *data, int64_t room, int64_t enough, int64_t *sizes, int64_t most)
{
    int patience = PATIENCE;
    while (state->used < enough && state->count < most) {
        if (state->held == NULL) {
            int length = libpq->get(connection, &state->held, 1);
            if (length == 0) {
                struct pollfd there = {.fd = socket, .events = POLLIN};
                if (poll(&there, 1, 0) == 0) {
                    if (patience-- == 0)
                        return WAIT;
                    usleep(NAP_US);
                }
                /* Also where the socket has nothing: under TLS it may have been read already. */
                if (!libpq->consume(connection))
                    return LOST;
                continue;
            }
            if (length < 0) {
                state->held = NULL;
                return length == -1 ? END : LOST;
            }
            state->length = length;
        }
        if (state->length > room - state->used)
            return state->used ? ENOUGH : LARGER;
        memcpy(data + state->used, state->held, state->length);
        libpq->free(state->held);
        state->held = NULL;
        state->used += state->length;
        sizes[state->count++] = state->length;
        patience = PATIENCE;
    }
    return ENOUGH;
}

/* Numbers that begin with their highest byte. */

static inline int16_t number16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return (int16_t)__builtin_bswap16(value);
}

static inline int32_t number32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return (int32_t)__builtin_bswap32(value);
}

static inline int64_t number64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return (int64_t)__builtin_bswap64(value);
}

/* Where each field begins, and its size, column by column. */
int64_t split(const uint8_t *data, int64_t end, const int64_t *row_sizes, int64_t rows,
              int64_t columns, int64_t *starts, int64_t *sizes)
{
    int64_t at = 0;
    for (int64_t row = 0; row < rows; row++) {
        if (row_sizes[row] < 2 || row_sizes[row] > end - at)
            return REFUSED;
        int64_t until = at + row_sizes[row];
        if (number16(data + at) != columns)
            return REFUSED;
        at += 2;
        for (int64_t column = 0; column < columns; column++) {
            if (until - at < 4)
                return REFUSED;
            int64_t size = number32(data + at);
            at += 4;
            starts[column * rows + row] = at;
            sizes[column * rows + row] = size;
            if (size < -1 || size > until - at)
                return REFUSED;
            if (size > 0)
                at += size;
        }
        if (at != until)
            return REFUSED;
    }
    return at == end ? 0 : REFUSED;
}

static inline int within(int64_t start, int64_t size, int64_t end)
{
    return start >= 0 && start <= end && size <= end - start;
}

/* Numbers of 1, 2, 4 or 8 bytes, from where each value begins. */
int64_t numbers(const uint8_t *data, int64_t end, const int64_t *starts, int64_t rows,
                int64_t width, void *out)
{
    for (int64_t row = 0; row < rows; row++) {
        if (!within(starts[row], width, end))
            return REFUSED;
        const uint8_t *at = data + starts[row];
        switch (width) {
        case 1: ((int8_t *)out)[row] = (int8_t)*at; break;
        case 2: ((int16_t *)out)[row] = number16(at); break;
        case 4: ((int32_t *)out)[row] = number32(at); break;
        case 8: ((int64_t *)out)[row] = number64(at); break;
        default: return REFUSED;
        }
    }
    return 0;
}

/* The values one behind the other; the offsets are Arrow's, of which the first is 0. */
int64_t values(const uint8_t *data, int64_t end, const int64_t *starts, const int64_t *sizes,
               int64_t rows, int32_t *offsets, uint8_t *out, int64_t room)
{
    int64_t used = 0;
    for (int64_t row = 0; row < rows; row++) {
        if (sizes[row] > 0) {
            if (!within(starts[row], sizes[row], end) || sizes[row] > room - used)
                return REFUSED;
            memcpy(out + used, data + starts[row], sizes[row]);
            used += sizes[row];
        }
        offsets[row + 1] = (int32_t)used;
    }
    return 0;
}

enum { BASE = 10000, DIGITS = 4, HEADER_BYTES = 8, NEGATIVE = 0x4000, MOST_DIGITS = 18 };

/* One numeric, times 10 to the power of its column's scale. */
static inline int64_t decimal(const uint8_t *at, int64_t size, int64_t scale, int64_t largest,
                              int64_t *out)
{
    if (size < HEADER_BYTES)
        return REFUSED;
    int64_t count = number16(at), left = DIGITS * (number16(at + 2) + 1) + scale;
    int16_t sign = number16(at + 4);
    if (count < 0 || size != HEADER_BYTES + 2 * count || (sign != 0 && sign != NEGATIVE))
        return REFUSED;
    if (count == 0 && number16(at + 2) != 0)
        return REFUSED;
    /* Below 10^left, so it has room in 64 bits; with more digits than that the first is small. */
    int64_t below = BASE, value = 0;
    for (int64_t more = left - MOST_DIGITS; more > 0 && below > 0; more--)
        below /= 10;
    for (int64_t n = 0; n < count; n++) {
        int64_t digit = number16(at + HEADER_BYTES + 2 * n), factor = BASE;
        if (digit < 0 || digit >= below || left <= 0)
            return REFUSED;
        below = BASE;
        for (; left < DIGITS; left++) {
            /* Below the column's scale, where there must be zeros. */
            if (digit % 10)
                return REFUSED;
            digit /= 10;
            factor /= 10;
        }
        value = value * factor + digit;
        left -= DIGITS;
    }
    for (; left > 0 && value; left--)
        value *= 10;
    if (value > largest)
        return REFUSED;
    *out = sign == NEGATIVE ? -value : value;
    return 0;
}

/* Numerics of 18 digits at most, as 128 bits; largest is the greatest of their type. */
int64_t decimals(const uint8_t *data, int64_t end, const int64_t *starts, const int64_t *sizes,
                 int64_t rows, int64_t scale, int64_t largest, int64_t *out)
{
    for (int64_t row = 0; row < rows; row++) {
        if (!within(starts[row], sizes[row], end))
            return REFUSED;
        if (decimal(data + starts[row], sizes[row], scale, largest, &out[2 * row]))
            return REFUSED;
        out[2 * row + 1] = out[2 * row] >> 63;
    }
    return 0;
}
