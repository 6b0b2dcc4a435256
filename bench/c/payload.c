/* The container's whole user land: `true` ends at once, `pause` never. */
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;

	if (name && strcmp(name, "/pause") == 0)
		for (;;)
			pause();
	return 0;
}
